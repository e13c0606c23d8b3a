package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/testdata/peers"
	"github.com/chainfix/chainfix/xmlfix"
)

// TestDryRunGoesOnAfterAGuestThatCannotBeWritten: one whose new definition would be longer
// than a document may be leaves the others alone.
func TestDryRunGoesOnAfterAGuestThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	err := errors.Join(os.WriteFile(filepath.Join(dir, "top"), bytesOf(named("base.img", "raw")), 0o644),
		os.WriteFile(filepath.Join(dir, "base.img"), rawDisk, 0o644), os.Mkdir(filepath.Join(dir, "etc"), 0o755))
	for i, name := range []string{"first", "long", "third"} {
		document := peers.SmallGuest(name, "<disk type='file'>"+strings.ReplaceAll(topDisk, "DIR", dir)+"<target dev='vda' bus='virtio'/></disk>")
		document = strings.Replace(document, "<memory", fmt.Sprintf("<uuid>00000000-0000-4000-8000-%012d</uuid><memory", i), 1)
		if name == "long" {
			document += "<!--" + strings.Repeat("x", xmlfix.MaxInput-len(document)-8) + "-->"
		}
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, "etc", name+".xml"), []byte(document), 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
	scan := func(names ...string) *host.Scan {
		return &host.Scan{Inventory: host.FolderAt(filepath.Join(dir, "etc")), Policy: chain.Policy{}, Names: names}
	}
	run := func(asJSON bool, names ...string) (printed, complaints string, status int) {
		t.Helper()
		var out, errs strings.Builder
		result := newApplyResult("9.0.0", true)
		result.all = true
		o := &options{json: asJSON, all: true}
		if err := o.applyDryRun(t.Context(), streams{out: &out, err: &errs}, scan(names...), &walkers{}, result, func() {}); err != nil {
			status = statusOf(err)
		}
		return out.String(), errs.String(), status
	}
	printed, said, status := run(false)
	if status != exitInput || strings.Count(printed, "\n+++ ") != 2 {
		t.Errorf("status %d, printed:\n%s", status, printed)
	}
	if !strings.Contains(said, "\nlong: warning: left unchanged: ") || !strings.HasSuffix(said, "\n2 would be changed, 1 left unchanged\n") {
		t.Errorf("said: %s", said)
	}

	// For programs it ends as the apply would, also where there is nothing to go through.
	for _, c := range []struct {
		names []string
		says  error
		want  map[string]string
	}{
		{nil, host.ErrLeft, map[string]string{"first": wouldChange, "long": wasLeft, "third": wouldChange}},
		{[]string{"third"}, nil, map[string]string{"third": wouldChange}},
		{[]string{"third", "nobody"}, host.ErrNoGuest, map[string]string{}},
	} {
		printed, _, status := run(true, c.names...)
		var got applyResult
		if err := json.Unmarshal([]byte(printed), &got); err != nil {
			t.Errorf("%q: %v: %q", c.names, err, printed)
			continue
		}
		outcomes := make(map[string]string)
		for _, g := range got.Guests {
			outcomes[g.Name] = g.Outcome
		}
		if !maps.Equal(outcomes, c.want) || (c.says == nil) != (got.Error == "") || c.says != nil && !strings.HasPrefix(got.Error, c.says.Error()) || (status == exitInput) != (c.says != nil) {
			t.Errorf("%q: status %d, %s", c.names, status, printed)
		}
	}
}
