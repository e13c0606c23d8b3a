package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/testdata/peers"
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

// needOfOutcome is what a guest needs of which it was seen what becomes of it.
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
