package host_test

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/testdata/peers"
)

// TestDefine: the next Inspect returns the new definition, a running guest
// keeps running unchanged, and a refused definition changes nothing.
func TestDefine(t *testing.T) {
	l := peers.StartLibvirt(t)
	l.Define(domain("off", image(t, l, "off.qcow2")))
	l.Define(domain("running", image(t, l, "running.qcow2")))
	l.Virsh("start", "running")
	d := connect(t, l)

	for name, guest := range guests(t, d) {
		changed := strings.Replace(string(guest.Definition), "</uuid>", "</uuid>\n  <title>changed</title>", 1)
		if err := d.Define(t.Context(), []byte(changed)); err != nil {
			t.Fatal(err)
		}
		after, err := d.Inspect(t.Context(), guest.UUID)
		if err != nil {
			t.Fatal(err)
		}
		if string(after.Definition) != changed || string(after.Live) != string(guest.Live) {
			t.Errorf("%q: the definition is\n%s\nand runs with\n%s", name, after.Definition, after.Live)
		}
		if err := d.Define(t.Context(), guest.Definition); err != nil {
			t.Fatal(err)
		}
		if back, err := d.Inspect(t.Context(), guest.UUID); err != nil || string(back.Definition) != string(guest.Definition) {
			t.Errorf("%q is not back: %v", name, err)
		}

		for what, broken := range map[string]string{
			"not well-formed":          strings.Replace(changed, "</devices>", "</device>", 1),
			"broken at the password":   strings.Replace(changed, "passwd='"+password+"'", "passwd='"+password+"' =", 1),
			"of an unknown kind":       strings.Replace(changed, "type='qemu'", "type='nothing'", 1),
			"the name, another UUID":   strings.Replace(changed, guest.UUID, "8f2bd4ab-2db2-4d1e-9b1b-2f3a3b5f4c11", 1),
			"the UUID, another name":   strings.Replace(changed, "<name>"+name, "<name>another", 1),
			"cut off behind a NUL":     changed + "\x00",
			"longer than the protocol": changed + strings.Repeat(" ", 4<<20),
		} {
			err := d.Define(t.Context(), []byte(broken))
			if err == nil {
				t.Errorf("%q: %s is defined", name, what)
				continue
			}
			if strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: %s: the error is %q", name, what, err)
			}
			var answer *host.Error
			if !errors.As(err, &answer) && !errors.Is(err, host.ErrTooLong) && !errors.Is(err, host.ErrDefinition) {
				t.Errorf("%q: %s: %v", name, what, err)
			}
		}
		if same, err := d.Inspect(t.Context(), guest.UUID); err != nil || string(same.Definition) != string(guest.Definition) {
			t.Errorf("%q has changed: %v", name, err)
		}
	}
	if all := guests(t, d); len(all) != 2 {
		t.Errorf("there are %d guests", len(all))
	}
}

// TestLongestDefinition: what libvirt takes and gives is not cut.
func TestLongestDefinition(t *testing.T) {
	l := peers.StartLibvirt(t)
	l.Define(domain("long"))
	d := connect(t, l)
	guest := guests(t, d)["long"]
	// libvirt keeps the text of a description as it is. It must give back
	// what it has taken, in a string of the same bound.
	room := 4<<20 - len(guest.Definition) - len("\n  <description></description>")
	long := strings.Replace(string(guest.Definition), "</uuid>", "</uuid>\n  <description>"+strings.Repeat("x", room)+"</description>", 1)
	if err := d.Define(t.Context(), []byte(long)); err != nil {
		t.Fatal(err)
	}
	if again, err := d.Inspect(t.Context(), guest.UUID); err != nil || string(again.Definition) != long {
		t.Errorf("%d bytes have not come back: %v", len(long), err)
	}
}

// TestGuestThatDisappears: a guest that goes between the list and its turn is
// left out, and so is one that nobody ever sees again.
func TestGuestThatDisappears(t *testing.T) {
	l := peers.StartLibvirt(t)
	for _, name := range []string{"a", "b", "c"} {
		l.Define(domain(name))
	}
	d := connect(t, l)
	var seen []string
	for guest, err := range d.Guests(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if len(seen) == 0 {
			l.Virsh("undefine", "b")
		}
		seen = append(seen, guest.Name)
	}
	if strings.Join(seen, " ") != "a c" {
		t.Errorf("seen: %q", seen)
	}
	for range d.Guests(t.Context()) {
		break
	}
	if all := guests(t, d); len(all) != 2 {
		t.Errorf("after a list that nobody read to its end, %d guests", len(all))
	}
}

// TestDaemonGoesAway: a call that waits for a daemon that is killed returns,
// and so does every one after it; a list ends with the error.
func TestDaemonGoesAway(t *testing.T) {
	l := peers.StartLibvirt(t)
	for _, name := range []string{"a", "b", "c"} {
		l.Define(domain(name))
	}
	d := connect(t, l)
	uuid := guests(t, d)["a"].UUID

	seen := 0
	for guest, err := range d.Guests(t.Context()) {
		if seen++; seen == 1 {
			// From here on nothing is answered, so the calls below are under
			// way, or not yet made, when the daemon ends.
			l.Signal(syscall.SIGSTOP)
			var calls sync.WaitGroup
			for range 3 {
				calls.Go(func() {
					if _, err := d.Inspect(t.Context(), uuid); !errors.Is(err, host.ErrGone) {
						t.Errorf("a call that had no answer: %v", err)
					}
				})
			}
			l.Signal(syscall.SIGKILL)
			calls.Wait()
			continue
		}
		if guest != nil || !errors.Is(err, host.ErrGone) {
			t.Errorf("the list goes on with %v, %v", guest, err)
		}
	}
	if seen != 2 {
		t.Errorf("%d guests and errors", seen)
	}
	if err := d.Define(t.Context(), []byte(domain("d"))); !errors.Is(err, host.ErrGone) {
		t.Errorf("a definition for nobody: %v", err)
	}
	for _, err := range d.Pools(t.Context()) {
		if !errors.Is(err, host.ErrGone) {
			t.Errorf("pools: %v", err)
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	// The system still takes connections for a process that it is clearing
	// away.
	if _, err := host.Connect(t.Context(), l.URI()); !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, host.ErrGone) {
		t.Errorf("a connection to nobody: %v", err)
	}
}

// TestManyAtOnce: calls of several goroutines get their own answers.
func TestManyAtOnce(t *testing.T) {
	l := peers.StartLibvirt(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		l.Define(domain(name))
	}
	d := connect(t, l)
	var calls sync.WaitGroup
	for name, guest := range guests(t, d) {
		calls.Go(func() {
			for range 25 {
				again, err := d.Inspect(t.Context(), guest.UUID)
				if err != nil || again.Name != name || string(again.Definition) != string(guest.Definition) {
					t.Errorf("%q: %+v, %v", name, again, err)
				}
			}
		})
	}
	calls.Wait()
}

// TestClosed: a connection that was closed is gone.
func TestClosed(t *testing.T) {
	l := peers.StartLibvirt(t)
	d := connect(t, l)
	d.Close()
	for _, err := range d.Guests(t.Context()) {
		if !errors.Is(err, host.ErrGone) {
			t.Errorf("guests: %v", err)
		}
	}
}

// TestNoSuchDaemon: the errors are distinguishable.
func TestNoSuchDaemon(t *testing.T) {
	dir := t.TempDir()
	if _, err := host.Connect(t.Context(), "qemu:///system?socket="+filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no socket: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := host.Connect(ended, "qemu:///system?socket="+filepath.Join(dir, "absent")); !errors.Is(err, context.Canceled) {
		t.Errorf("no time: %v", err)
	}
}
