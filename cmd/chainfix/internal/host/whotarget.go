package host

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/chain/storage"
)

// whoTarget is the requested image.
type whoTarget struct {
	images *image.Cache
	name   string                       // as requested
	local  *libvirtxml.DomainDiskSource // nil for an image on the network
	names  []string                     // including those through symlinks
	bases  []string                     // the last parts of the names
	exists *bool
	known  bool           // extent is known
	extent storage.Extent // of all its bytes
	doubts []string       // reasons for unseen uses
}

// sameness says whether a source is the requested image, or shares bytes with
// it.
type sameness struct {
	same bool
	why  string // why that is unknown; "" if it is known
}

func newWhoTarget(ctx context.Context, w *chain.Walker, name string) *whoTarget {
	t := &whoTarget{images: w.Cache(), name: name, names: []string{name}}
	defer func() {
		for _, n := range t.names {
			t.bases = append(t.bases, filepath.Base(n))
		}
	}()
	if !strings.HasPrefix(name, "/") {
		return t
	}
	resolved := t.resolve(ctx, name)
	// Above a symlink ".." leads elsewhere than its spelling says.
	if clean := filepath.Clean(name); clean != name && t.resolve(ctx, clean) == resolved {
		t.names = append(t.names, clean)
	}
	if !slices.Contains(t.names, resolved) {
		t.names = append(t.names, resolved)
	}
	t.local = storage.LocalSource(name, false)
	id, err := t.images.Identify(ctx, t.local)
	switch {
	case err == nil:
		t.exists = new(true)
		t.local = storage.LocalSource(name, id.Block)
		if t.extent, err = t.images.Extent(ctx, t.local, id); err == nil {
			t.known = true
			t.doubts = append(t.doubts, deviceDoubts(id)...)
			break
		}
		t.doubts = append(t.doubts, "the image cannot be identified: "+storage.Reason(err))
	case errors.Is(err, fs.ErrNotExist):
		t.exists = new(false)
	case errors.Is(err, storage.ErrDirectory):
		t.exists = new(true)
		t.doubts = append(t.doubts, "it is a folder: run the command for each image in it")
	case errors.Is(err, storage.ErrNotImage):
		t.exists = new(true)
		t.doubts = append(t.doubts, "it is "+storage.Reason(err)+", which can only be compared by name")
	default:
		t.doubts = append(t.doubts, "the image cannot be identified: "+storage.Reason(err))
	}
	return t
}

// gone reports whether the image certainly does not exist.
func (t *whoTarget) gone() bool { return t.exists != nil && !*t.exists }

// resolve returns a path without symlinks, following a dangling one at its end
// too. If nothing can be resolved, it returns the cleaned path.
func (t *whoTarget) resolve(ctx context.Context, path string) string {
	resolved, err := limit.Do(ctx, t.images.Requests(), path, func(context.Context) (string, error) { return resolveNow(path, maxLinks), nil })
	if err != nil {
		return filepath.Clean(path)
	}
	return resolved
}

// maxLinks is how many symlinks are followed, as in Linux, and maxPath how long a path is there.
const (
	maxLinks = 40
	maxPath  = 4096
)

// resolveNow returns a path without symlinks, as far as it exists.
func resolveNow(path string, links int) string {
	if len(path) > maxPath || links == 0 {
		return filepath.Clean(path)
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	// Not filepath.Dir, which takes ".." for the end of a spelling.
	above, base := filepath.Split(strings.TrimRight(path, "/"))
	if base == "" || above == "" {
		return filepath.Clean(path)
	}
	folder := resolveNow(above, links)
	at := filepath.Join(folder, base)
	link, err := os.Readlink(at)
	if err != nil {
		return at
	}
	if !filepath.IsAbs(link) {
		link = folder + "/" + link
	}
	return resolveNow(link, links-1)
}

// isCalled reports whether a path is one of the names of the image, without
// touching it.
func (t *whoTarget) isCalled(path string) bool {
	return t.local != nil && (slices.Contains(t.names, path) || slices.Contains(t.names, filepath.Clean(path)))
}

// compareName compares a source that must not be touched by its name alone.
func (t *whoTarget) compareName(src *libvirtxml.DomainDiskSource) bool {
	if path, local := storage.LocalPath(src); local {
		return t.isCalled(path)
	}
	return t.local == nil && storage.Name(src) == t.name
}

// compare reports whether a source of a guest is the image. It touches only
// the source.
func (t *whoTarget) compare(ctx context.Context, w *chain.Walker, layer chain.Layer) sameness {
	if layer.Source == nil || storage.IsEmpty(layer.Source) {
		return sameness{}
	}
	layer, err := w.Locate(ctx, layer)
	if err != nil {
		return sameness{why: storage.Describe(layer.Source) + " is unknown: " + err.Error()}
	}
	src := layer.At()
	path, local := storage.LocalPath(src)
	switch {
	case local:
		return t.compareLocal(ctx, src, path)
	case src.Network != nil:
		return t.compareNetwork(src)
	case src.Dir != nil && t.local != nil:
		if t.isCalled(src.Dir.Dir) {
			return sameness{same: true}
		}
		return t.compareFolder(ctx, src.Dir.Dir)
	case src.NVME != nil && !t.extent.File.Block:
		return sameness{} // not a file
	case src.Dir != nil:
		return sameness{}
	}
	return sameness{why: storage.Describe(src) + " has no name to compare"}
}

func (t *whoTarget) compareLocal(ctx context.Context, src *libvirtxml.DomainDiskSource, path string) sameness {
	what := strconv.Quote(path)
	if t.local == nil {
		return sameness{}
	}
	if !strings.HasPrefix(path, "/") {
		return sameness{why: what + " is a relative path"}
	}
	if t.isCalled(path) {
		return sameness{same: true}
	}
	id, err := t.images.Identify(ctx, src)
	switch {
	case err != nil && errors.Is(err, fs.ErrNotExist):
		// Both may be the same missing file through dangling symlinks.
		return sameness{same: t.gone() && slices.Contains(t.names, t.resolve(ctx, path))}
	case err != nil && errors.Is(err, storage.ErrNotImage):
		return sameness{}
	case err != nil:
		return sameness{why: what + " cannot be identified: " + storage.Reason(err)}
	case !t.known:
		return sameness{} // the target has its own doubt
	}
	extent, err := t.images.Extent(ctx, src, id)
	switch {
	case err != nil:
		return sameness{why: what + " cannot be identified: " + storage.Reason(err)}
	case extent.Overlaps(t.extent), id == t.extent.File:
		return sameness{same: true}
	case t.images.Alike(ctx, t.local, src):
		return sameness{why: what + " has the same inode number and time of change on another file system, like one file in two mounts"}
	case isBelowDevice(t.extent.File, extent.File):
		return sameness{why: what + " is a device that the image is a part of"}
	}
	return sameness{}
}

// compareNetwork compares names: one server may have several.
func (t *whoTarget) compareNetwork(src *libvirtxml.DomainDiskSource) sameness {
	if t.local != nil {
		return sameness{}
	}
	name := storage.Name(src)
	if name == t.name {
		return sameness{same: true}
	}
	if t.isLast(name) {
		return sameness{why: storage.ShownName(src) + " may be the same image through another name of its server"}
	}
	return sameness{}
}

// isLast reports whether the name of an image on the network ends as that of the image.
func (t *whoTarget) isLast(name string) bool {
	return t.local == nil && lastPart(name) == lastPart(t.name)
}

// lastPart is what a server calls the image, or the end of it, however it is escaped: without
// a snapshot, which is a part of the image, and without the LUN that an iSCSI target has
// where none is named.
func lastPart(name string) string {
	scheme, path, _ := strings.Cut(name, "://")
	path, _, _ = strings.Cut(path, "?")
	_, path, _ = strings.Cut(path, "/")
	if plain, err := url.PathUnescape(path); err == nil {
		path = plain
	}
	switch scheme {
	case "iscsi":
		path = strings.TrimSuffix(path, "/0")
	case "rbd", "sheepdog":
		path, _, _ = strings.Cut(path, "@")
	}
	return filepath.Base("/" + path)
}
