// Package remote opens images on the network. An [Opener] replaces
// [storage.FileOpener]: it passes local images on to that, and reads images on
// the network itself.
//
//   - http and https by requests for ranges of bytes. A server without ranges
//     is refused, as QEMU refuses it (block/curl.c).
//   - nbd over TCP and Unix sockets, without TLS.
//   - ssh, ftp, ftps, iscsi, rbd, gluster and nfs through qemu-img, if the
//     operator names that program. It opens the image as raw, so it probes no format and follows no backing image.
//
// # What is contacted
//
// Only [Opener.Open] contacts anything, and only the hosts that the source
// names: no proxy from the environment, no redirect, no retry. It sends
// nothing that identifies the operator, except what the source itself contains
// (cookies); a source that needs a secret is refused without contact. An image
// uses one connection until it is closed. The ssh and rbd libraries in
// qemu-img read their usual keys and configuration files.
//
// # Bounds
//
// An image has a time limit from opening to closing. It is fetched in blocks
// of 64 KiB, each at most once, 8 MiB in total. Each response of the server is
// checked against the request. After the first error every read returns the
// same error.
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

// DefaultTimeout is the default time limit for an image.
const DefaultTimeout = 10 * time.Second

// Errors of servers, as opposed to those of the network.
var (
	// ErrNoRanges: an HTTP server does not serve ranges of bytes. QEMU cannot
	// open images there either (block/curl.c, 7.2).
	ErrNoRanges = errors.New("the server does not serve ranges of bytes")
	// ErrRedirect: an HTTP server redirects. QEMU would follow it to any host
	// (block/curl.c, 7.2).
	ErrRedirect = errors.New("the server redirects")
	// ErrAnswer: a response does not match its request, or reports an error.
	ErrAnswer = errors.New("unexpected response of the server")
	// ErrQemuImg: qemu-img fails, or does not do what it was told. It reports the
	// reason only as text, so a missing image is this error too.
	ErrQemuImg = errors.New("qemu-img fails")
	// ErrTooMuch: reading the image would fetch more than 8 MiB.
	ErrTooMuch = errors.New("too much data to fetch from one image")
)

// Opener opens images on the network. See [storage.Opener]; errors also wrap
// the variables of this package, those of package nbd, [storage.ErrChanged],
// [context.DeadlineExceeded] for an image that is not read in time, and
// [context.Canceled].
type Opener struct {
	// Local opens everything that is not on the network; nil means
	// [storage.FileOpener].
	Local storage.Opener
	// Timeout is the time limit for reading one image; 0 means [DefaultTimeout].
	// A shorter <timeout> of the source is used instead.
	Timeout time.Duration
	// QemuImg is the qemu-img program, a path or a name on PATH, for protocols
	// that this package does not read itself; "" refuses them with
	// [storage.ErrNotReadable]. It runs with the environment of this process,
	// without proxy settings.
	QemuImg string

	roots *x509.CertPool // trusted roots; nil means the system's
}

// Identify identifies a source without contacting anything: one on the network
// by its [storage.Name].
func (o *Opener) Identify(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.FileID, error) {
	if src == nil || src.Network == nil {
		return o.local().Identify(ctx, src)
	}
	return storage.FileID{Remote: storage.Name(src)}, nil
}

// ChangeTime is Identify, with the time of change of a local image, if Local
// knows it. Only the server knows that of an image on the network. See
// [storage.ChangeTimer].
func (o *Opener) ChangeTime(ctx context.Context, src *libvirtxml.DomainDiskSource) (id storage.FileID, changed int64, err error) {
	if timer, ok := o.local().(storage.ChangeTimer); ok && (src == nil || src.Network == nil) {
		return timer.ChangeTime(ctx, src)
	}
	id, err = o.Identify(ctx, src)
	return id, 0, err
}

// Map calls Local's Map, if it has one. See [storage.Mapper].
func (o *Opener) Map(ctx context.Context, device storage.FileID) (storage.Extent, bool) {
	if mapper, ok := o.local().(storage.Mapper); ok {
		return mapper.Map(ctx, device)
	}
	return storage.Extent{}, false
}

// Resolve calls Local's Resolve, if it has one. See [storage.Resolver].
func (o *Opener) Resolve(ctx context.Context, path string) (string, error) {
	resolver, ok := o.local().(storage.Resolver)
	if !ok {
		return "", &fs.PathError{Op: "resolve", Path: path, Err: errors.ErrUnsupported}
	}
	return resolver.Resolve(ctx, path)
}

// Open contacts the hosts that a network source names. It opens the whole
// image; the caller applies slices.
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
	// fetch fills p with the bytes at off, which are within the image.
	fetch(p []byte, off int64) error
	close() error
}

// way returns how to open a source, without contacting anything.
func (o *Opener) way(src *libvirtxml.DomainDiskSource) (open func(context.Context) (peer, int64, error), err error) {
	n := src.Network
	if n.Auth != nil {
		return nil, fmt.Errorf("it needs a secret, which only libvirt has: %w", storage.ErrNotReadable)
	}
	if n.TLS == "yes" {
		return nil, fmt.Errorf("it needs TLS: %w", storage.ErrNotReadable)
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
		return nil, fmt.Errorf("%s needs qemu-img, which was not named: %w", strconv.Quote(n.Protocol), storage.ErrNotReadable)
	}
	node, err := blockdev(src)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (peer, int64, error) { return openQemuImg(ctx, o.QemuImg, node) }, nil
}

// limit returns the time limit for a source: libvirt passes <timeout> to
// QEMU's curl drivers, which apply it to each request.
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
		return 0, fmt.Errorf("its <timeout> of %s seconds is invalid", strconv.Quote(src.Timeout.Seconds))
	}
	return min(limit, time.Duration(seconds)*time.Second), nil
}
