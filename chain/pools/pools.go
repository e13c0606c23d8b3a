// Package pools locates the volumes of libvirt's storage pools, from the
// definitions of the pools alone. It does not connect to libvirt.
//
//	known, err := pools.Read(ctx, "/etc/libvirt/storage", nil)
//	if err != nil {
//		return err
//	}
//	walker := &chain.Walker{Volumes: known}
//
// [Read] is for the files of a libvirt, [Pools.Add] for definitions from
// elsewhere, such as virsh pool-dumpxml. A walker calls [Pools.Locate] for
// every volume.
//
// When libvirt starts a guest, it refuses a volume of an inactive pool, and
// one that the pool did not have at its last refresh; for a pool that was
// redefined while it was active it uses the old definition. The definitions do
// not show any of that: this package returns where the volume is if the pool
// is active as defined.
package pools

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/chain/storage"
)

// MaxDefinition is the maximum size of a pool's definition in bytes. Real ones
// have one or two KiB.
const MaxDefinition = 1 << 20

// ErrDuplicate is returned if a pool with that name already exists.
var ErrDuplicate = errors.New("storage pool is defined twice")

// Pools is a set of storage pools. The zero Pools is an empty one. It may be
// used by several goroutines.
type Pools struct {
	// Requests limits the requests for the files of the pools; nil means no
	// limits.
	Requests *limit.Requests

	dir string // folder with more definitions; "" for none

	mu     sync.Mutex
	known  map[string]*pool
	broken map[string]error // by pool: why its definition in dir is unusable
}

var _ storage.Volumes = (*Pools)(nil)

// Read returns the pools that are defined in a folder of libvirt's storage
// driver: /etc/libvirt/storage, or ~/.config/libvirt/storage of a session
// daemon. Other files in the folder, and its subfolders (autostart/), are
// ignored.
//
// The definition of a pool is read when one of its volumes is first needed,
// from the only file that libvirt reads for it: NAME.xml (libvirt 9.0,
// virStoragePoolObjLoad, ignores a pool whose file has another name). So an
// unusable file affects only disks that need it. A transient pool has no file
// there. requests limits this and all later requests; nil means no limits.
func Read(ctx context.Context, dir string, requests *limit.Requests) (*Pools, error) {
	info, err := limit.Do(ctx, requests, dir, func(context.Context) (fs.FileInfo, error) { return os.Stat(dir) })
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: dir, Err: syscall.ENOTDIR}
	}
	return At(dir, requests), nil
}

// At is [Read] for a folder that may be absent or unreadable: the error then
// comes from looking up a volume.
func At(dir string, requests *limit.Requests) *Pools { return &Pools{Requests: requests, dir: dir} }

// Add adds a pool by its definition, as "virsh pool-dumpxml" prints it. Errors
// wrap [ErrDefinition] or [ErrDuplicate].
func (p *Pools) Add(definition []byte) error {
	added, err := parse(definition)
	if err != nil {
		return err
	}
	switch _, err := p.find(context.Background(), added.name); {
	case err == nil:
		return fmt.Errorf("%w: %q", ErrDuplicate, added.name)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %q, whose other definition is unusable: %w", ErrDuplicate, added.name, err)
	}
	p.keep(added)
	return nil
}

// Locate returns the source that libvirt makes from a volume's source when it
// starts the guest (libvirt 9.0, virDomainStorageSourceTranslateSourcePool).
// Everything in the source but the volume's name stays.
//
// It opens only the pool's definition and, if libvirt names the device of a
// partition by a link, the folder of links. A stat decides whether a volume is
// a file or a folder, as in libvirt; an absent one is a file.
//
// Errors wrap [storage.ErrNoVolume], and a [*limit.UnansweredError] if a file
// did not answer in time.
func (p *Pools) Locate(ctx context.Context, src *libvirtxml.DomainDiskSource) (*libvirtxml.DomainDiskSource, error) {
	if src == nil || src.Volume == nil {
		return nil, fmt.Errorf("%w: %s is not a volume", storage.ErrNoVolume, storage.Describe(src))
	}
	pool, err := p.find(ctx, src.Volume.Pool)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", storage.ErrNoVolume, err)
	}
	located, err := limit.Do(ctx, p.Requests, pool.pathOf(src.Volume), func(context.Context) (*libvirtxml.DomainDiskSource, error) {
		return pool.locate(src)
	})
	if err != nil {
		return nil, fmt.Errorf("%w: pool %q, volume %q: %w", storage.ErrNoVolume, pool.name, src.Volume.Volume, err)
	}
	return located, nil
}

// find returns the pool of a name. Errors wrap fs.ErrNotExist if nothing
// defines it.
func (p *Pools) find(ctx context.Context, name string) (*pool, error) {
	p.mu.Lock()
	found, err := p.known[name], p.broken[name]
	p.mu.Unlock()
	if found != nil || err != nil {
		return found, err
	}
	if !plainName(name) {
		return nil, fmt.Errorf("%q is not a valid name of a storage pool", name)
	}
	if p.dir == "" {
		return nil, fmt.Errorf("the storage pool %q is unknown: %w", name, fs.ErrNotExist)
	}
	file := filepath.Join(p.dir, name+".xml")
	definition, err := limit.Do(ctx, p.Requests, file, func(context.Context) ([]byte, error) { return readDefinition(file) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the storage pool %q is not defined in %q: %w", name, p.dir, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("the storage pool %q: %q: %w", name, file, err)
	}
	found, err = parse(definition)
	if err == nil && found.name != name {
		err = fmt.Errorf("%w: libvirt ignores the pool %q in a file with another name", ErrDefinition, found.name)
	}
	if err != nil {
		err = fmt.Errorf("%q: %w", file, err)
		p.keepBroken(name, err)
		return nil, err
	}
	p.keep(found)
	return found, nil
}

// keepBroken stores what is wrong with a definition: parsing a long one takes
// a tenth of a second, and a chain may have thousands of volumes. The number
// of files bounds the number of entries.
func (p *Pools) keepBroken(name string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken == nil {
		p.broken = make(map[string]error)
	}
	p.broken[name] = err
}

func (p *Pools) keep(added *pool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = make(map[string]*pool)
	}
	p.known[added.name] = added
}

// readDefinition reads a regular file of at most [MaxDefinition] bytes. It
// does not block on a FIFO.
func readDefinition(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|dontWait, 0)
	if err != nil {
		return nil, reason(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, reason(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	definition, err := io.ReadAll(io.LimitReader(file, MaxDefinition+1))
	if err != nil {
		return nil, reason(err)
	}
	return definition, nil
}

// reason drops the path of an error, which is quoted elsewhere.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
