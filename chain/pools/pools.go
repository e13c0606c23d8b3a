// Package pools knows where the volumes of libvirt's storage pools are, from
// the definitions of the pools alone. No libvirt is asked.
//
//	known, err := pools.Read(ctx, "/etc/libvirt/storage", nil)
//	if err != nil {
//		return err
//	}
//	walker := &chain.Walker{Volumes: known}
//
// [Read] is for the files of a libvirt, [Pools.Add] for definitions from elsewhere,
// such as virsh pool-dumpxml. A walker calls [Pools.Locate] for every volume that it
// meets.
//
// A libvirt that starts a guest refuses a volume of a pool that is not running
// at that moment, and one that the pool did not have when it was last
// refreshed; of a pool that was redefined while it ran it uses the old
// definition. None of that can be known from the definitions: what is said here
// is where the volume is if the pool runs as it is defined.
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

// MaxDefinition is the most bytes that the definition of a pool may have. Those
// of real pools have one or two KiB.
const MaxDefinition = 1 << 20

// ErrDuplicate is returned where there is a pool of that name already.
var ErrDuplicate = errors.New("storage pool is defined twice")

// Pools is a set of storage pools. The zero Pools is an empty one. It may be
// used by several goroutines.
type Pools struct {
	// Requests bounds what the files of the pools are asked; nil bounds nothing.
	Requests *limit.Requests

	dir string // where the definitions of pools that are not in known may be; "" is nowhere

	mu     sync.Mutex
	known  map[string]*pool
	broken map[string]error // of pools whose definitions in dir are of no use
}

var _ storage.Volumes = (*Pools)(nil)

// Read returns the pools that are defined in a folder of libvirt's storage
// driver: /etc/libvirt/storage, or ~/.config/libvirt/storage of a session
// daemon. Nothing else in the folder counts, nor what is below it (autostart/).
//
// The definition of a pool is read when a volume of it is first looked for,
// from the one file that libvirt takes it from: NAME.xml
// (libvirt 9.0, virStoragePoolObjLoad, ignores a pool whose file has another name). So a file
// that is of no use hinders only those who need it. A transient pool has no
// file there. The requests bound this and all that is asked later; nil bounds
// nothing.
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

// At is [Read] of a folder that may be absent, or not be for everybody: that says who
// looks for a volume.
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
		return fmt.Errorf("%w: %q, whose other definition is of no use: %w", ErrDuplicate, added.name, err)
	}
	p.keep(added)
	return nil
}

// Locate returns the source that libvirt makes of a volume's source when it
// starts the guest (libvirt 9.0, virDomainStorageSourceTranslateSourcePool). All that
// the source says apart from the volume's name stays.
//
// Nothing is opened but the pool's definition and, where libvirt names the
// device of a partition by a link, the folder of links. Whether a volume
// is a file or a folder is found out by a stat, as in libvirt; one that is absent is
// a file.
//
// Errors wrap [storage.ErrNoVolume], and a [*limit.UnansweredError] where the files
// did not answer in time.
func (p *Pools) Locate(ctx context.Context, src *libvirtxml.DomainDiskSource) (*libvirtxml.DomainDiskSource, error) {
	if src == nil || src.Volume == nil {
		return nil, fmt.Errorf("%w: %s is no volume", storage.ErrNoVolume, storage.Describe(src))
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
		return nil, fmt.Errorf("%q is no name of a storage pool", name)
	}
	if p.dir == "" {
		return nil, fmt.Errorf("the storage pool %q is not known: %w", name, fs.ErrNotExist)
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
		err = fmt.Errorf("%w: libvirt ignores the pool %q in a file of another name", ErrDefinition, found.name)
	}
	if err != nil {
		err = fmt.Errorf("%q: %w", file, err)
		p.keepBroken(name, err)
		return nil, err
	}
	p.keep(found)
	return found, nil
}

// keepBroken remembers what is wrong with a definition: it takes a tenth of a
// second to find that out of a long one, and a chain may ask for thousands of
// volumes. There are as many at most as there are files.
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

// readDefinition reads a regular file of at most [MaxDefinition] bytes. It does
// not wait for a FIFO.
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
