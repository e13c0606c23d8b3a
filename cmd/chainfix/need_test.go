package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/need"
	"github.com/chainfix/chainfix/testdata/peers"
	"github.com/chainfix/chainfix/xmlfix"
)

// probedImage is what libvirt logs of an image whose format it probes.
var probedImage = regexp.MustCompile(`virStorageFileProbeFormatFromBuf:\d+ : path=(.*), buf=`)

// probedIn returns what a log says that libvirt has probed in the folder of images: the folders, and
// the images that are in none.
func probedIn(l *peers.Libvirt, log string) map[string]bool {
	probed := make(map[string]bool)
	for _, m := range probedImage.FindAllStringSubmatch(log, -1) {
		name, _, _ := strings.Cut(strings.TrimPrefix(m[1], l.Images+string(filepath.Separator)), string(filepath.Separator))
		probed[name] = true
	}
	return probed
}

// needOfOutcome is the need of a guest with a known outcome.
func needOfOutcome(outcome predict.Outcome, guessed bool) predict.Need {
	switch {
	case outcome == predict.Misopens:
		return predict.Misopened
	case outcome == predict.Refuses:
		return predict.Refused
	case guessed:
		return predict.Guessed
	}
	return predict.Recorded
}

// onlyNodesOfLibvirt starts a guest and finds out whether QEMU has a node that libvirt has not
// named: one of an image that it opened by itself.
func onlyNodesOfLibvirt(l *peers.Libvirt, guest string) error {
	if err := l.TryStart(guest); err != nil {
		return fmt.Errorf("%s: %w", guest, err)
	}
	defer l.End(guest)
	said, err := l.Try("qemu-monitor-command", guest, `{"execute": "query-named-block-nodes"}`)
	if err != nil {
		return fmt.Errorf("%s: %w: %s", guest, err, said)
	}
	var nodes struct {
		Return []struct {
			Name string `json:"node-name"`
		}
	}
	if err := json.Unmarshal([]byte(said), &nodes); err != nil || len(nodes.Return) == 0 {
		return fmt.Errorf("%s: %v: %s", guest, err, said)
	}
	for _, node := range nodes.Return {
		if !strings.HasPrefix(node.Name, "libvirt-") {
			return fmt.Errorf("%s: QEMU has the node %q", guest, node.Name)
		}
	}
	return nil
}

// TestCheckReadsNoMore: check reports the same need as a prediction that may read everything,
// except where that depends on an image that the walk did not read.
func TestCheckReadsNoMore(t *testing.T) {
	target := libvirt.Pair{Libvirt: libvirt.Version{Major: 9}}
	unknown, same := 0, 0
	for _, c := range oddChains() {
		if c.prepare != nil || c.hangs {
			continue
		}
		dir := filepath.Join(t.TempDir(), "images")
		c.write(t, dir)
		w := &chain.Walker{Images: image.NewCache(nil), Policy: chain.Policy{Target: target.Libvirt}}
		e, err := xmlfix.Examine(t.Context(), w, c.name, []byte(c.document("odd", dir)))
		if err != nil {
			t.Fatal(err)
		}
		needs, err := needsOf(t.Context(), w, e)
		if err != nil {
			t.Fatal(err)
		}
		free, err := need.Predict(t.Context(), new(chain.Walker), e.Disks[0], []libvirt.Pair{target})
		if err != nil {
			t.Fatal(err)
		}
		switch want := need.Of(free); {
		case needs[0] == want:
			same++
		case needs[0] == predict.Unknown:
			unknown++
		case needs[0] == predict.Refused && want == predict.Misopened && c.name == "relative data file in the root folder":
			// Nothing checks that it exists.
		default:
			t.Errorf("%s: %s, want %s: %+v", c.name, needs[0], want, free)
		}
	}
	if unknown > 8 || same < 20*unknown {
		t.Errorf("the same of %d, unknown of %d", same, unknown)
	}
}
