package chain_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"
	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// An image is opened once, however many chains contain it, under any name, and
// however many others are opened in between.
func TestImageIsOpenedOnce(t *testing.T) {
	f := newFiles(t)
	f.raw("raw", 1<<20)
	f.qcow2("base", img{backing: "raw"})
	if err := os.Link(f.path("base"), f.path("hard")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("base", f.path("soft")); err != nil {
		t.Fatal(err)
	}
	f.touched, f.opened = map[string]bool{}, map[string]int{}
	w := &chain.Walker{Images: image.NewCache(f)}
	names := []string{"base", "hard", "soft"}
	for n := range 400 {
		top := fmt.Sprint("top", n)
		f.qcow2(top, img{backing: names[n%len(names)], backingFormat: "qcow2"})
		got, err := w.Walk(context.Background(), f.top(top))
		if err != nil || got.Verdict != chain.Fixable || len(got.Layers) != 3 || got.Layers[1].Header.Backing.Name != "raw" {
			t.Fatalf("%q: %+v, %v", top, got, err)
		}
		if p, err := predict.Disk(context.Background(), w, f.top(top), mustPair(t, "9.0")); err != nil || p.Outcome != predict.Starts {
			t.Fatalf("%q: %+v, %v", top, p, err)
		}
	}
	opened := 0
	for path, n := range f.opened {
		if opened += n; n != 1 {
			t.Errorf("%q is opened %d times", path, n)
		}
	}
	if opened != 402 {
		t.Errorf("402 images are opened %d times", opened)
	}
}

// An image that cannot be opened or read is not tried again.
func TestFailuresAreRemembered(t *testing.T) {
	f := newFiles(t)
	f.qcow2("damaged", img{})
	const lost = 200
	for n := range lost {
		f.qcow2(fmt.Sprint("top of lost", n), img{backing: fmt.Sprint("lost", n), backingFormat: "qcow2"})
	}
	f.qcow2("top of damaged", img{backing: "damaged", backingFormat: "qcow2"})
	f.touched, f.opened = map[string]bool{}, map[string]int{}
	w := &chain.Walker{Images: image.NewCache(damaged{f})}
	for n := range 600 {
		top := fmt.Sprint("top", n)
		f.qcow2(top, img{})
		for _, name := range []string{top, fmt.Sprint("top of lost", n%lost), "top of damaged"} {
			if _, err := w.Walk(context.Background(), f.top(name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for path, n := range f.opened {
		if n != 1 {
			t.Errorf("%q is tried %d times", path, n)
		}
	}
	if n := len(f.opened); n != 600+lost+lost+2 {
		t.Errorf("%d images are tried", n)
	}
}

// damaged is an Opener to which a part of one image cannot be read.
type damaged struct{ *files }

func (d damaged) Open(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.Image, error) {
	img, err := d.files.Open(ctx, src)
	if path, _ := storage.LocalPath(src); err == nil && path == d.path("damaged") {
		return unreadable{img}, nil
	}
	return img, err
}

type unreadable struct{ storage.Image }

func (u unreadable) ReadAt(p []byte, off int64) (int, error) { return 0, fs.ErrPermission }

// An image with several wrong stated formats is opened once for each.
func TestImageIsOpenedForEachStatement(t *testing.T) {
	f := newFiles(t)
	f.qcow2("top", img{})
	f.touched, f.opened = map[string]bool{}, map[string]int{}
	w := &chain.Walker{Images: image.NewCache(f)}
	for range 3 {
		for _, format := range []probe.Format{probe.VMDK, probe.Qcow2, probe.Raw, probe.QED, probe.Qcow} {
			got, err := w.Walk(context.Background(), stated(f.layer("top", format)))
			if err != nil {
				t.Fatal(err)
			}
			if sound := format == probe.Qcow2 || format == probe.Raw; sound == (got.Verdict == chain.Refused) {
				t.Errorf("%s: %+v", format, got)
			}
		}
	}
	if n := f.opened[f.path("top")]; n != 3 {
		t.Errorf("the image is opened %d times", n)
	}
}

// A slice of 0 bytes at the start of a file is not the file, whichever of the
// two is opened first.
func TestSliceOfNothingIsNotTheWhole(t *testing.T) {
	f := newFiles(t)
	f.qcow2("top", img{})
	whole := f.top("top")
	nothing := chain.Stated{Layers: []chain.Layer{layerOf(sliced(whole.Layers[0].Source, 0, 0), probe.Qcow2)}}
	for _, wholeFirst := range []bool{false, true} {
		w := &chain.Walker{Images: image.NewCache(f)}
		f.touched, f.opened = map[string]bool{}, map[string]int{}
		for _, isWhole := range []bool{wholeFirst, !wholeFirst} {
			disk := nothing
			if isWhole {
				disk = whole
			}
			got, err := w.Walk(context.Background(), disk)
			if err != nil {
				t.Fatal(err)
			}
			if isWhole {
				wantFixable(t, got, 1)
			} else {
				wantRefused(t, got, finding.SourceSlice)
			}
		}
	}
}

// An additional read that fails changes nothing.
func TestWhatIsAskedForIsReadFirst(t *testing.T) {
	f := newFiles(t)
	long := mkimage.Extension{Type: 1, Data: make([]byte, 5000)} // the header takes two readings
	f.write("top", mkimage.Qcow2{VirtualSize: overlaySize, Extensions: []mkimage.Extension{long}})
	f.grow("top", 1<<20)
	f.touched, f.opened = map[string]bool{}, map[string]int{}
	w := &chain.Walker{Images: image.NewCache(cutOff{f})}
	got, err := w.Walk(context.Background(), f.top("top"))
	if err != nil {
		t.Fatal(err)
	}
	wantFixable(t, got, 1)
}

// cutOff is an Opener of images that fail every read after a read of their
// ends.
type cutOff struct{ *files }

func (c cutOff) Open(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.Image, error) {
	img, err := c.files.Open(ctx, src)
	return &cutOffImage{Image: img}, err
}

type cutOffImage struct {
	storage.Image
	failed bool
}

func (c *cutOffImage) ReadAt(p []byte, off int64) (int, error) {
	if c.failed = c.failed || off+int64(len(p)) == c.Size(); c.failed {
		return 0, fs.ErrClosed
	}
	return c.Image.ReadAt(p, off)
}

// A file system may reuse the inode of a deleted file. The new file is not
// mistaken for it, nor a changed file for its earlier state.
func TestNewFileIsToldFromAnOldOne(t *testing.T) {
	f := newFiles(t)
	f.qcow2("a", img{backing: "old", backingFormat: "qcow2"})
	f.qcow2("b", img{backing: "new", backingFormat: "qcow2"})
	f.qcow2("c", img{backing: "again", backingFormat: "qcow2"})
	r := &reusing{files: f}
	w := &chain.Walker{Images: image.NewCache(r)}
	for n, test := range []struct{ top, base, names string }{{"a", "old", "of old"}, {"b", "new", "of new"}, {"c", "again", "of new"}} {
		f.raw(test.names, 1<<20)
		f.qcow2(test.base, img{backing: test.names, backingFormat: "raw"})
		r.changed = min(int64(n), 1) // the third is the second by another name
		f.touched, f.opened = map[string]bool{}, map[string]int{}
		got, err := w.Walk(context.Background(), f.top(test.top))
		if err != nil {
			t.Fatal(err)
		}
		wantFixable(t, got, 3)
		if name := got.Layers[1].Header.Backing.Name; name != test.names {
			t.Errorf("%q is taken for one whose backing image is %q", test.base, name)
		}
		if opened := f.opened[f.path(test.base)] == 1; opened != (n < 2) {
			t.Errorf("%q is opened: %t", test.base, opened)
		}
	}
}

// reusing is an Opener to which all backing images are one file, one after the
// other.
type reusing struct {
	*files
	changed int64
}

type reused struct {
	storage.Image
	id storage.FileID
}

func (r reused) ID() storage.FileID { return r.id }

func (r *reusing) ChangeTime(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.FileID, int64, error) {
	id, changed, err := storage.FileOpener{}.ChangeTime(ctx, src)
	if path, _ := storage.LocalPath(src); slices.Contains([]string{r.path("old"), r.path("new"), r.path("again")}, path) {
		return storage.FileID{Device: 1, Inode: 1}, r.changed, nil
	}
	return id, changed, err
}

func (r *reusing) Identify(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.FileID, error) {
	id, _, err := r.ChangeTime(ctx, src)
	return id, err
}

func (r *reusing) Open(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.Image, error) {
	img, err := r.files.Open(ctx, src)
	if err != nil {
		return nil, err
	}
	id, err := r.Identify(ctx, src)
	return reused{img, id}, err
}

// Every change of a file changes its time, under any name.
func TestFileOpenerTellsChanges(t *testing.T) {
	f := newFiles(t)
	f.qcow2("a", img{})
	if err := os.Link(f.path("a"), f.path("b")); err != nil {
		t.Fatal(err)
	}
	f.symlink("b", "c")
	date := func(name string) int64 {
		t.Helper()
		id, changed, err := storage.FileOpener{}.ChangeTime(t.Context(), file(f.path(name)))
		if same, sameErr := (storage.FileOpener{}).Identify(t.Context(), file(f.path(name))); err != nil || sameErr != nil || same != id {
			t.Fatalf("%+v, %v; %+v, %v", id, err, same, sameErr)
		}
		return changed
	}
	first := date("a")
	if b, c := date("b"), date("c"); first == 0 || b != first || c != first {
		t.Errorf("one file has the dates %d, %d and %d", first, b, c)
	}
	for n := 0; date("c") == first; n++ { // the clock ticks some hundred times a second
		if n == 1_000_000 {
			t.Fatal("a file that is written to keeps its date")
		}
		f.qcow2("a", img{})
	}
}

// waiting is an Opener that opens nothing before it is told to.
type waiting struct {
	*files
	begun, open chan struct{}
}

func (w waiting) Open(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.Image, error) {
	w.begun <- struct{}{}
	select {
	case <-w.open:
		return w.files.Open(ctx, src)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// However many goroutines need an image at the same moment, it is opened once,
// and the end of one context does not affect the others.
func TestManyAskForOneImage(t *testing.T) {
	f := newFiles(t)
	f.qcow2("base", img{})
	if err := os.Link(f.path("base"), f.path("hard")); err != nil {
		t.Fatal(err)
	}
	f.touched, f.opened = map[string]bool{}, map[string]int{}
	opener := waiting{f, make(chan struct{}, 100), make(chan struct{})}
	w := &chain.Walker{Images: image.NewCache(opener)}

	impatient, giveUp := context.WithCancel(t.Context())
	given := make(chan error)
	go func() {
		_, err := w.Walk(impatient, f.top("base"))
		given <- err
	}()
	<-opener.begun
	giveUp()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up gets %v", err)
	}
	var others errgroup.Group
	for n := range 64 {
		others.Go(func() error {
			got, err := w.Walk(t.Context(), f.top([]string{"base", "hard"}[n%2]))
			if err == nil && got.Verdict != chain.Fixable {
				err = fmt.Errorf("%+v", got)
			}
			return err
		})
	}
	close(opener.open)
	if err := others.Wait(); err != nil {
		t.Error(err)
	}
	if n := f.opened[f.path("base")] + f.opened[f.path("hard")]; n != 1 {
		t.Errorf("the image is opened %d times", n)
	}
}
