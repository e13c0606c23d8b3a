package chain_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/chain/storage"
)

// A file may have no size and answer every read with an error, and is no empty
// image then. The memory of a process is one, at the address 0.
func TestEmptyFileThatCannotBeReadIsNoEmptyImage(t *testing.T) {
	const unreadable = "/proc/self/mem"
	f := newFiles(t)
	f.put("empty", nil)
	if img, err := (storage.FileOpener{}).Open(t.Context(), file(unreadable)); err != nil {
		t.Skip(err) // no Linux
	} else {
		img.Close()
	}
	for _, format := range []string{"raw", "qcow2", ""} {
		f.qcow2("over-it", img{backing: unreadable, backingFormat: format})
		f.qcow2("over-empty", img{backing: "empty", backingFormat: format})
		got := wantRefused(t, f.walk(t, chain.Policy{}, f.top("over-it")), finding.ImageUnreadable)
		wantContains(t, got.Text, unreadable)
		wantContains(t, got.Remedy.String(), "no other user can")
		for _, reported := range f.walk(t, chain.Policy{}, f.top("over-empty")).Findings {
			if reported.Code == finding.ImageUnreadable {
				t.Errorf("an empty file, format %q: %+v", format, reported)
			}
		}
		_, err := predict.Disk(t.Context(), new(chain.Walker), f.top("over-it"), mustVersion(t, "9.0"))
		if !errors.Is(err, predict.ErrUnseen) || !errors.Is(err, syscall.EIO) {
			t.Errorf("format %q: prediction: %v", format, err)
		}
		if _, err := predict.Disk(t.Context(), new(chain.Walker), f.top("over-empty"), mustVersion(t, "9.0")); err != nil {
			t.Errorf("an empty file, format %q: prediction: %v", format, err)
		}
	}
}
