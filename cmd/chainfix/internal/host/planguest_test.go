package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/xmlfix"
)

// aFolder is a host of guests with one fixable disk each. Of a guest with a filler
// the definition is as long as one may be.
type aFolder struct {
	Inventory
	dir string
}

const planned = "00000000-0000-4000-8000-00000000000"

func newAFolder(t *testing.T, fillers ...string) *aFolder {
	t.Helper()
	f := &aFolder{dir: t.TempDir()}
	top, err := mkimage.Qcow2{VirtualSize: 1 << 20, Backing: "base.img"}.Bytes()
	err = errors.Join(err, os.WriteFile(filepath.Join(f.dir, "base.img"), make([]byte, 1<<20), 0o644),
		os.WriteFile(filepath.Join(f.dir, "top.qcow2"), top, 0o644), os.Mkdir(filepath.Join(f.dir, "etc"), 0o755))
	for i, filler := range fillers {
		number := string(rune('1' + i))
		document := "<domain type='qemu'><name>guest" + number + "</name><uuid>" + planned + number + "</uuid><devices>" +
			"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='" + f.dir + "/top.qcow2'/><target dev='vda'/></disk>" +
			"</devices></domain>"
		if filler != "" {
			document += "<!--" + strings.Repeat(filler, xmlfix.MaxInput-len(document)-8) + "-->"
		}
		err = errors.Join(err, os.WriteFile(filepath.Join(f.dir, "etc", "guest"+number+".xml"), []byte(document), 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
	f.Inventory = FolderAt(filepath.Join(f.dir, "etc"))
	return f
}

// plan plans the guests as Apply does, and returns what it tells.
func (f *aFolder) plan(t *testing.T, prepare func(*Run)) (steps map[string]Step, told []Outcome) {
	t.Helper()
	run := &Run{stateDir: t.TempDir()}
	if err := run.make(); err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	prepare(run)
	w := &applying{run: run, Apply: &Apply{Scan: &Scan{Inventory: f.Inventory}, OnOutcome: func(o Outcome) { told = append(told, o) }}}
	if err := w.plan(context.Background(), func(*Report) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if w.left != (len(told) > 0) {
		t.Errorf("left: %v, told: %+v", w.left, told)
	}
	steps = make(map[string]Step)
	for _, g := range run.guests {
		steps[g.name] = g.step
	}
	return steps, told
}

// A guest whose definitions cannot be kept, for a reason of its own, leaves the
// others alone.
func TestGuestThatCannotBeKeptLeavesOthersAlone(t *testing.T) {
	f := newAFolder(t, "", "", "")
	steps, told := f.plan(t, func(run *Run) {
		if err := os.MkdirAll(filepath.Join(run.Dir, planned+"2.new.xml", "x"), 0o700); err != nil {
			t.Fatal(err)
		}
	})
	if steps["guest1"] != Planned || steps["guest3"] != Planned || len(steps) != 2 {
		t.Errorf("steps: %v", steps)
	}
	if len(told) != 1 || told[0].Guest != "guest2" || told[0].Step != Left || told[0].Err == nil {
		t.Errorf("told: %+v", told)
	}
}

// So does one whose new definition cannot be made: it would be longer than a
// document may be.
func TestGuestThatCannotBeWrittenLeavesOthersAlone(t *testing.T) {
	f := newAFolder(t, "", "x", "")
	steps, told := f.plan(t, func(*Run) {})
	if steps["guest1"] != Planned || steps["guest3"] != Planned || len(steps) != 2 {
		t.Errorf("steps: %v", steps)
	}
	if len(told) != 1 || told[0].Guest != "guest2" || !errors.Is(told[0].Err, xmlfix.ErrProof) {
		t.Errorf("told: %+v", told)
	}
}
