package main

import (
	"bytes"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/probe/mkimage"
)

// pieces keeps what is written apart.
type pieces []string

func (p *pieces) Write(b []byte) (int, error) {
	*p = append(*p, string(b))
	return len(b), nil
}

// TestProbeKeepsNothing: what is said of an image is written before the next one
// is opened, in JSON too, and all of it is one array.
func TestProbeKeepsNothing(t *testing.T) {
	dir := t.TempDir()
	image := filepath.Join(dir, "image")
	writeFile(t, image, bytesOf(mkimage.Qcow2{VirtualSize: demoSize}))
	missing := filepath.Join(dir, "missing")
	for _, test := range []struct {
		images        []string
		there, pieces int
	}{
		{[]string{image, image, missing, image}, 4, 5},
		{[]string{missing}, 1, 2},
	} {
		var out pieces
		run(t.Context(), append([]string{"chainfix", "probe", "--output", "json"}, test.images...), streams{nil, &out, io.Discard})
		valid(t, strings.Join(out, ""))
		var all []probedJSON
		decoder := json.NewDecoder(bytes.NewBufferString(strings.Join(out, "")))
		if err := decoder.Decode(&all); err != nil || len(all) != test.there || len(out) != test.pieces || all == nil {
			t.Errorf("%q: %v, %q", test.images, err, out)
		}
		if _, err := decoder.Token(); err != io.EOF {
			t.Errorf("%q: more follows: %v", test.images, err)
		}
	}
}
