package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/testdata/peers"
	"github.com/chainfix/chainfix/xmlfix"
)

// predict predicts what the installed libvirt does with the one disk of a
// definition.
func predictDocument(t *testing.T, document string) predict.Prediction {
	t.Helper()
	target := installedPair(t)
	d, err := xmlfix.Parse("guest.xml", []byte(document))
	if err != nil {
		t.Fatal(err)
	}
	stated, err := d.Disks()[0].Stated()
	if err != nil {
		t.Fatal(err)
	}
	prediction, err := predict.Disk(t.Context(), new(chain.Walker), stated, target)
	if err != nil {
		t.Fatal(err)
	}
	return prediction
}

// oddChain is a disk for which it is not obvious what libvirt does with it. Its
// images are made in a folder of its own.
type oddChain struct {
	name   string
	images map[string][]byte
	links  map[string]string // symbolic links
	// prepare makes what else is in the folder.
	prepare func(t *testing.T, dir string)

	// disk is what is in the <disk>, but for its <target>, with DIR for the
	// folder; "" is the image "top" as qcow2. attributes are the <disk>'s,
	// without its type.
	disk, attributes, kind string

	// truth is what the guest must see; nil for anything. stated are the images
	// with a stated format: QEMU must not open any other. nil means all of
	// them.
	truth  []byte
	stated []string

	// want is the expected prediction, and the expected outcome of the disk
	// except for an exception.
	want predict.Outcome
	but  *exceptional
	// hangs: libvirt would never answer, so the guest is not started.
	hangs bool
}

// TestPredictionIsOutcome starts a guest on every odd chain, with the real
// libvirt and QEMU, and compares the outcome with the prediction.
func TestPredictionIsOutcome(t *testing.T) {
	t.Parallel()
	l := peers.StartLibvirt(t)
	peers.Require(t, "qemu-img", "qemu-storage-daemon")
	var mu sync.Mutex
	count := make(map[predict.Outcome]int)
	started := make(map[string]predict.Prediction) // by guest
	t.Run("chains", func(t *testing.T) {
		for n, c := range oddChains() {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				guest := fmt.Sprintf("odd%d", n)
				dir := filepath.Join(l.Images, guest)
				c.write(t, dir)
				l.Share(dir)
				document := c.document(guest, dir)
				predicted := predictDocument(t, document)
				if c.hangs {
					if predicted.Outcome != c.want {
						t.Errorf("predicted: %+v", predicted)
					}
					return
				}
				outcome, said := c.start(t, l, guest, dir, document)
				if predicted.Outcome != c.want || outcome != c.outcome() {
					t.Errorf("want %s, predicted: %s %q, outcome: %s %s", c.want, predicted.Outcome, predicted.Reason, outcome, said)
				}
				if outcome == predict.Refuses && c.but == nil && !saidBy(said, predicted.Reason) {
					t.Errorf("predicted words: %s\nlibvirt's: %s", predicted.Reason, said)
				}
				mu.Lock()
				defer mu.Unlock()
				count[outcome]++
				if outcome == predict.Starts && predicted.Outcome == predict.Starts && !predicted.LeftOut {
					started[guest] = predicted
				}
			})
		}
	})
	t.Logf("%v", count)
	guessed := probedIn(l, l.DebugLog())
	for guest, predicted := range started {
		if guesses := predicted.Guess != (predict.Guess{}); guesses != guessed[guest] {
			t.Errorf("%s: libvirt probes: %v, predicted: %+v", guest, guessed[guest], predicted)
		}
	}
}

// explains matches the words of a prediction that are not libvirt's: they say what
// it can and cannot do.
var explains = regexp.MustCompile(`^libvirt (can|starts no|[0-9.]+ to [0-9.]+ cannot)`)

// saidBy compares libvirt's words as they are predicted with what virsh printed.
// QEMU's words are not predicted.
func saidBy(said, words string) bool {
	if strings.HasPrefix(words, "QEMU ") || strings.HasPrefix(words, "Could not open ") || strings.Contains(words, storage.ErrNotImage.Error()) ||
		explains.MatchString(words) {
		return true
	}
	said = regexp.MustCompile(` \(as uid:\d+, gid:\d+\)`).ReplaceAllString(said, "")
	// 7.0 has the image in brackets, too, and neither in quotes.
	said = regexp.MustCompile(`(backing store for )(\S+)(?: \(\S+\))?( is self)`).ReplaceAllString(said, "$1'$2'$3")
	pattern := regexp.QuoteMeta(strings.ReplaceAll(words, `"`, `'`))
	pattern = strings.ReplaceAll(pattern, `:\.\.\.'`, `:[^']*'`) // what may hold a password
	return regexp.MustCompile(pattern).MatchString(said)
}

func (c oddChain) write(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range c.images {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range c.links {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if c.prepare != nil {
		c.prepare(t, dir)
	}
}

func (c oddChain) document(guest, dir string) string {
	disk, kind := c.disk, c.kind
	if disk == "" {
		disk = topDisk
	}
	if kind == "" {
		kind = "file"
	}
	attributes, bus := c.attributes, "virtio"
	if strings.Contains(attributes, "cdrom") {
		bus = "ide"
	}
	return peers.SmallGuest(guest, fmt.Sprintf(`<disk type='%s' %s>
      %s
      <target dev='%s' bus='%s'/>
    </disk>`, kind, attributes, strings.ReplaceAll(disk, "DIR", dir), map[string]string{"virtio": "vda", "ide": "hda"}[bus], bus))
}

// start starts the guest and returns the outcome of its disk.
func (c oddChain) start(t *testing.T, l *peers.Libvirt, guest, dir, document string) (predict.Outcome, string) {
	t.Helper()
	if err := l.TryDefine(document); err != nil {
		return predict.Refuses, err.Error()
	}
	return c.startDefined(t, l, guest, dir)
}

// startDefined is start for a guest that is defined.
func (c oddChain) startDefined(t *testing.T, l *peers.Libvirt, guest, dir string) (predict.Outcome, string) {
	t.Helper()
	if err := l.TryStart(guest); err != nil {
		return predict.Refuses, err.Error()
	}
	options, opened := l.Blockdevs(guest), l.OpenFiles(guest)
	l.End(guest)
	for _, path := range opened {
		name, err := filepath.Rel(dir, path)
		theirs := err == nil && filepath.IsLocal(name) || path == "/etc/passwd"
		if c.stated != nil && theirs && !slices.Contains(c.stated, name) {
			return predict.Misopens, "QEMU opens " + name
		}
	}
	if c.truth == nil || len(options) == 0 {
		return predict.Starts, fmt.Sprint(options)
	}
	content, err := peers.GuestSees(t, options)
	if err != nil {
		return predict.Misopens, err.Error()
	}
	if !bytes.Equal(content, c.truth) {
		return predict.Misopens, fmt.Sprintf("the guest sees %d bytes that begin with %q, by %q", len(content), content[:min(16, len(content))], options)
	}
	return predict.Starts, ""
}
