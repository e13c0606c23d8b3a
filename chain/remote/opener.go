// Package remote opens images on the network, for operators who ask for it. An
// [Opener] stands where [chain.FileOpener] stands otherwise: local images go on
// to that, images on the network it reads itself.
//
//   - http and https by requests for ranges of bytes. A server without ranges
//     is refused, as QEMU refuses it (block/curl.c).
//   - nbd over TCP and Unix sockets, without TLS.
//   - ssh, ftp, ftps, iscsi, rbd, gluster and nfs through qemu-img, if the
//     operator names that program. It is told what to open as raw, so that it
//     recognises no format and follows no name.
//
// # What is contacted
//
// Only [Opener.Open] contacts anything, and only the hosts that the source
// names: no proxy from the environment, no redirect, no retry. Nothing that
// identifies the operator is sent, except what the source itself says
// (cookies); a source that wants a secret is refused without contact. An image
// keeps its one connection until it is closed. ssh and rbd are programs of
// their own inside qemu-img, which look for keys and settings where they always
// do.
//
// # Bounds
//
// An image is read within a time limit, which runs from its opening to its
// closing. It is fetched in blocks of 64 KiB, each at most once, 8 MiB in all.
// Each answer of the server is held against what was asked. The first error is
// the last word: whatever is read after it returns the same one.
package remote

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/storage"
)

// DefaultTimeout is the time limit for an image of an [Opener] without its own.
const DefaultTimeout = 10 * time.Second

// What a server may do that is no fault of the network.
var (
	// ErrNoRanges: an HTTP server does not serve ranges of bytes. QEMU opens
	// no image there either (block/curl.c, 7.2).
	ErrNoRanges = errors.New("the server does not serve ranges of bytes")
	// ErrRedirect: an HTTP server redirects. QEMU would follow it to any host
	// (block/curl.c, 7.2).
	ErrRedirect = errors.New("the server redirects")
	// ErrAnswer: a server answers something else than it was asked, or
	// reports an error of its own.
	ErrAnswer = errors.New("the server does not answer as it should")
	// ErrQemuImg: qemu-img fails, or does something else than it was told.
	// Why it fails it says in words only: an image that is not there is this
	// too.
	ErrQemuImg = errors.New("qemu-img fails")
	// ErrTooMuch: reading the image takes more bytes than are fetched of one
	// (8 MiB).
	ErrTooMuch = errors.New("more than is fetched of an image")
)

// Opener opens images on the network. See [chain.Opener]; errors wrap besides
// what is named there the variables of this package, those of package nbd,
// [chain.ErrChanged],
// [context.DeadlineExceeded] for an image that is not read in time, and
// [context.Canceled].
type Opener struct {
	// Local opens everything that is not on the network; nil means
	// [chain.FileOpener].
	Local storage.Opener
	// Timeout is the time limit for all that is read of one image, 0 means
	// [DefaultTimeout]. A source that has a shorter <timeout> gets that.
	Timeout time.Duration
	// QemuImg is the qemu-img program, as a path or to be found on PATH, for
	// protocols that are not read here; "" refuses them as
	// [chain.ErrNotReadable]. It runs with the environment of this process,
	// without the settings of proxies.
	QemuImg string

	roots *x509.CertPool // whom to believe; nil: the system's
}

// Identify names a source without contacting anything: one on the network by
// its [chain.Name].
func (o *Opener) Identify(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.FileID, error) {
	if src == nil || src.Network == nil {
		return o.local().Identify(ctx, src)
	}
	return storage.FileID{Remote: storage.Name(src)}, nil
}

// ChangeTime is Identify, with the time of change of what is not on the network, if Local knows
// that. One of an image on the network is only known to its server. See
// [chain.ChangeTimer].
func (o *Opener) ChangeTime(ctx context.Context, src *libvirtxml.DomainDiskSource) (id storage.FileID, changed int64, err error) {
	if timer, ok := o.local().(storage.ChangeTimer); ok && (src == nil || src.Network == nil) {
		return timer.ChangeTime(ctx, src)
	}
	id, err = o.Identify(ctx, src)
	return id, 0, err
}

// Map is Local's, if that knows devices. See [chain.Mapper].
func (o *Opener) Map(ctx context.Context, device storage.FileID) (storage.Extent, bool) {
	if mapper, ok := o.local().(storage.Mapper); ok {
		return mapper.Map(ctx, device)
	}
	return storage.Extent{}, false
}

// Resolve is Local's, if that follows symlinks. See [chain.Resolver].
func (o *Opener) Resolve(ctx context.Context, path string) (string, error) {
	resolver, ok := o.local().(storage.Resolver)
	if !ok {
		return "", &fs.PathError{Op: "resolve", Path: path, Err: errors.ErrUnsupported}
	}
	return resolver.Resolve(ctx, path)
}

// Open contacts the hosts that a network source names. Its slices are the
// caller's business: what is opened is the whole image.
func (o *Opener) Open(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.Image, error) {
	if src == nil || src.Network == nil {
		return o.local().Open(ctx, src)
	}
	open, err := o.way(src)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: storage.Describe(src), Err: err}
	}
	limit, err := o.limit(src)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: storage.Describe(src), Err: err}
	}
	i := &remoteImage{name: storage.Describe(src), id: storage.FileID{Remote: storage.Name(src)}, blocks: make(map[int64][]byte)}
	i.ctx, i.cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("not read within %s: %w", limit, context.DeadlineExceeded))
	if i.peer, i.size, err = open(i.ctx); err != nil {
		err = i.because("open", err)
		i.cancel()
		return nil, err
	}
	return i, nil
}

func (o *Opener) local() storage.Opener {
	if o.Local == nil {
		return storage.FileOpener{}
	}
	return o.Local
}

// peer is the other end of an open image.
type peer interface {
	// fetch fills p with what stands at off. It is within the image.
	fetch(p []byte, off int64) error
	close() error
}

// way finds how a source is opened. It contacts nothing.
func (o *Opener) way(src *libvirtxml.DomainDiskSource) (open func(context.Context) (peer, int64, error), err error) {
	n := src.Network
	if n.Auth != nil {
		return nil, fmt.Errorf("it wants a secret, which only libvirt has: %w", storage.ErrNotReadable)
	}
	if n.TLS == "yes" {
		return nil, fmt.Errorf("it wants TLS: %w", storage.ErrNotReadable)
	}
	switch n.Protocol {
	case "http", "https":
		request, err := newRequest(src)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (peer, int64, error) {
			return openHTTP(ctx, request, tlsConfig(src, o.roots))
		}, nil
	case "nbd":
		network, address, err := nbdAddress(n)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (peer, int64, error) { return openNBD(ctx, network, address, n.Name) }, nil
	}
	if o.QemuImg == "" {
		return nil, fmt.Errorf("%s is read by qemu-img only, which was not named: %w", strconv.Quote(n.Protocol), storage.ErrNotReadable)
	}
	node, err := blockdev(src)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (peer, int64, error) { return openQemuImg(ctx, o.QemuImg, node) }, nil
}

// limit is the time limit for a source: libvirt hands <timeout> to QEMU's curl
// drivers, which take it for each request.
func (o *Opener) limit(src *libvirtxml.DomainDiskSource) (time.Duration, error) {
	limit := o.Timeout
	if limit == 0 {
		limit = DefaultTimeout
	}
	if src.Timeout == nil {
		return limit, nil
	}
	seconds, err := strconv.ParseUint(src.Timeout.Seconds, 10, 32)
	if err != nil || seconds == 0 {
		return 0, fmt.Errorf("its <timeout> of %s seconds is none", strconv.Quote(src.Timeout.Seconds))
	}
	return min(limit, time.Duration(seconds)*time.Second), nil
}
