package limit

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func setMounts(r *Requests, points ...string) { r.mounts.once.Do(func() { r.mounts.set(points) }) }

// TestDeadFileSystemCostsOneMoreLimit: with one request at a time, a hundred
// images on a dead file system fail after three time limits, without affecting
// images elsewhere or ones that answer.
func TestDeadFileSystemCostsOneMoreLimit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := New(1, 10*time.Second)
		setMounts(r, "/dead")
		begun := time.Now()
		dead := untilReleased(t)
		for _, name := range []string{"first", "second"} {
			if _, err := Do(t.Context(), r, "/dead/"+name, dead); err == nil {
				t.Fatal("an answer")
			}
		}
		var all sync.WaitGroup
		var unanswered atomic.Int64
		for i := range 100 {
			all.Go(func() {
				if _, err := Do(t.Context(), r, fmt.Sprintf("/dead/%d", i), dead); err != nil {
					unanswered.Add(1)
				}
			})
			all.Go(func() {
				if n, err := Do(t.Context(), r, fmt.Sprintf("/dead/alive%d", i), answers(i)); n != i || err != nil {
					t.Errorf("%d, %v", n, err)
				}
			})
			all.Go(func() {
				if n, err := Do(t.Context(), r, fmt.Sprintf("/elsewhere/%d", i), answers(i)); n != i || err != nil {
					t.Errorf("%d, %v", n, err)
				}
			})
		}
		all.Wait()
		if unanswered.Load() != 100 || time.Since(begun) != 30*time.Second {
			t.Errorf("%d had no answer, after %s", unanswered.Load(), time.Since(begun))
		}
	})
}

// TestMountIsNamed: an image is on the file system to which its path leads, through
// symlinks, and not on that of its name.
func TestMountIsNamed(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mount/images", "local"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"local/absolute": dir + "/mount/images/disk", "local/relative": "../mount/images/disk", "folder": "mount/images",
		"mount/out": "../local/disk", "circle": "circle",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	mount := dir + "/mount"
	for path, want := range map[string]string{
		"/mount/images/disk": mount, "/mount": mount, "/mount/../local/disk": "", "/local/absolute": mount, "/local/relative": mount,
		"/folder/disk": mount, "/folder/../images/disk": mount, "/mount/out": "", "/circle": "", "/local/disk": "",
	} {
		r := New(1, time.Minute)
		setMounts(r, mount)
		q := newRequest(t.Context(), dir+path)
		r.mounts.follow(q)
		if want == "" {
			want = "/"
		}
		if q.mount() != want {
			t.Errorf("%s is on %q, not %q", path, q.mount(), want)
		}
	}
	if got := unescape(`/a\040b\134c\0`); got != `/a b\c\0` {
		t.Errorf("%q", got)
	}
}
