package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/testdata/peers"
	"github.com/chainfix/chainfix/xmlfix"
)

// A guest whose new definition cannot be made, because it would be longer than a
// document may be, leaves the others alone.
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
	scan := &host.Scan{Inventory: host.FolderAt(filepath.Join(dir, "etc")), Policy: chain.Policy{}}
	got := make(map[string]int)
	var out, complaints strings.Builder
	result := newApplyResult("9.0.0", true)
	result.all = true
	err = eachReport(t.Context(), scan, func(r *host.Report) error {
		status, diff := result.dryRun(r)
		got[r.Guest.Name] = status
		out.WriteString(diff)
		return nil
	})
	result.printText(&complaints)
	if err != nil || got["first"] != exitDone || got["long"] != exitInput || got["third"] != exitDone || len(got) != 3 {
		t.Errorf("statuses %v, %v\n%s", got, err, complaints.String())
	}
	if !strings.HasPrefix(complaints.String(), "long: warn: left as it is: ") || !strings.HasSuffix(complaints.String(), "\n2 would be changed, 1 left unchanged\n") {
		t.Errorf("said: %s", complaints.String())
	}
	if strings.Count(out.String(), "\n+++ ") != 2 {
		t.Errorf("printed:\n%s", out.String())
	}
}
