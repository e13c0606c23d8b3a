package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/storage"
)

// maxHeader bounds the header of a response, in bytes.
const maxHeader = 64 << 10

// newRequest returns the request for an image, as QEMU's curl would make it,
// without the range.
func newRequest(src *libvirtxml.DomainDiskSource) (*http.Request, error) {
	u, err := location(src.Network)
	if err != nil {
		return nil, err
	}
	// curl removes dot segments by default (CURLOPT_PATH_AS_IS).
	u = u.ResolveReference(new(url.URL))
	request := &http.Request{Method: http.MethodGet, URL: u, Header: http.Header{
		"User-Agent":      {"chainfix"},
		"Accept-Encoding": {"identity"},
	}}
	if u.Port() == storage.NetworkProtocol(u.Scheme).DefaultPort() {
		// A server may check the signature of a request against this.
		request.Host = strings.TrimSuffix(u.Host, ":"+u.Port())
	}
	if src.Cookies == nil {
		return request, nil
	}
	var cookies []string
	for _, c := range src.Cookies.Cookies {
		// libvirt accepts a value in quotes, and refuses one that would need them.
		bare := c.Value
		if len(bare) > 1 && strings.HasPrefix(bare, `"`) && strings.HasSuffix(bare, `"`) {
			bare = bare[1 : len(bare)-1]
		}
		if (&http.Cookie{Name: c.Name, Value: bare}).Valid() != nil || strings.ContainsAny(bare, " ,") {
			return nil, fmt.Errorf("the cookie %s cannot be sent", strconv.Quote(c.Name))
		}
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	if len(cookies) > 0 {
		request.Header.Set("Cookie", strings.Join(cookies, "; "))
	}
	return request, nil
}

func tlsConfig(src *libvirtxml.DomainDiskSource, roots *x509.CertPool) *tls.Config {
	return &tls.Config{RootCAs: roots, InsecureSkipVerify: src.SSL != nil && src.SSL.Verify == "no"}
}

// httpPeer requests ranges of one file.
type httpPeer struct {
	ctx       context.Context
	request   *http.Request
	transport *http.Transport
	first     []byte // the block that came with the size
	version   version
}

// version tells whether two responses are about the same file.
type version struct {
	size           int64
	etag, modified string
}

// openHTTP requests the first block; the response has the size.
func openHTTP(ctx context.Context, request *http.Request, config *tls.Config) (peer, int64, error) {
	h := &httpPeer{ctx: ctx, request: request, transport: &http.Transport{
		// No Proxy. With a configuration for TLS, HTTP/2 stays off.
		DialContext:            new(net.Dialer).DialContext,
		TLSClientConfig:        config,
		MaxConnsPerHost:        1,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}}
	// A round trip of the transport follows no redirect and keeps no cookie.
	block := make([]byte, blockSize)
	n, v, err := h.get(block, 0, true)
	if err != nil {
		h.close()
		return nil, 0, err
	}
	h.first, h.version = block[:n], v
	return h, v.size, nil
}

func (h *httpPeer) close() error {
	h.transport.CloseIdleConnections()
	return nil
}

func (h *httpPeer) fetch(p []byte, off int64) error {
	// The first block was read already.
	if n := int64(len(h.first)); off == 0 {
		off = int64(copy(p, h.first))
		if p = p[n:]; len(p) == 0 {
			return nil
		}
	}
	_, v, err := h.get(p, off, false)
	if err == nil && v != h.version {
		err = storage.ErrChanged
	}
	return err
}

// get fills p from off on, or, for the first request, up to the end of the
// file.
func (h *httpPeer) get(p []byte, off int64, first bool) (n int, v version, err error) {
	request := h.request.Clone(h.ctx)
	request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1))
	answer, err := h.transport.RoundTrip(request)
	if err != nil {
		return 0, version{}, err
	}
	defer answer.Body.Close()
	v = version{etag: answer.Header.Get("ETag"), modified: answer.Header.Get("Last-Modified")}
	switch {
	case answer.StatusCode == http.StatusPartialContent:
	case first && empty(answer):
		return 0, v, nil
	case !first && h.shrunk(answer, v):
		return 0, version{}, storage.ErrChanged
	default:
		return 0, version{}, status(answer)
	}
	if encoding := answer.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return 0, version{}, fmt.Errorf("%w: its Content-Encoding is %s", ErrAnswer, shorten(encoding))
	}
	var from, last int64
	if from, last, v.size, err = contentRange(answer.Header.Values("Content-Range")); err != nil {
		return 0, version{}, err
	}
	want := int64(len(p))
	if first {
		want = min(want, v.size)
	}
	if from != off || last != off+want-1 {
		if !first && v.size != h.version.size {
			return 0, version{}, storage.ErrChanged
		}
		return 0, version{}, fmt.Errorf("%w: it sent bytes %d to %d of %d, not %d to %d", ErrAnswer, from, last, v.size, off, off+want-1)
	}
	if answer.ContentLength >= 0 && answer.ContentLength != want {
		return 0, version{}, fmt.Errorf("%w: a range of %d bytes with a Content-Length of %d", ErrAnswer, want, answer.ContentLength)
	}
	return int(want), v, body(answer.Body, p[:want])
}

// body reads a body that must be exactly as long as p.
func body(r io.Reader, p []byte) error {
	n, err := io.ReadFull(r, p)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it sent %d of %d bytes: %w", ErrAnswer, n, len(p), io.ErrUnexpectedEOF)
	}
	if err != nil {
		return err
	}
	var more [1]byte
	switch n, err := io.ReadFull(r, more[:]); {
	case n > 0:
		return fmt.Errorf("%w: it sent more than %d bytes", ErrAnswer, len(p))
	case err != io.EOF:
		return err
	}
	return nil
}

// empty reports whether the response to the first request means an empty file:
// a server may then ignore the range, or refuse it.
func empty(answer *http.Response) bool {
	switch answer.StatusCode {
	case http.StatusOK:
		return answer.ContentLength == 0
	case http.StatusRequestedRangeNotSatisfiable:
		return answer.Header.Get("Content-Range") == "bytes */0"
	}
	return false
}

// shrunk reports whether a range no longer exists because the file was
// replaced.
func (h *httpPeer) shrunk(answer *http.Response, now version) bool {
	switch answer.StatusCode {
	case http.StatusOK:
		now.size = answer.ContentLength
		return now != h.version
	case http.StatusRequestedRangeNotSatisfiable:
		return true
	}
	return false
}

// status turns a response without the range into an error.
func status(answer *http.Response) error {
	said := fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	switch answer.StatusCode {
	case http.StatusOK:
		return ErrNoRanges
	case http.StatusNotFound, http.StatusGone:
		return fmt.Errorf("the server answers %s: %w", said, fs.ErrNotExist)
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return fmt.Errorf("the server answers %s: %w", said, fs.ErrPermission)
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		to, err := answer.Location()
		if err != nil {
			return fmt.Errorf("%w, nowhere", ErrRedirect)
		}
		// The rest of the URL may be a secret.
		bare := url.URL{Scheme: to.Scheme, Host: to.Host, Path: to.Path}
		return fmt.Errorf("%w to %s; the source must name the image itself", ErrRedirect, shorten(bare.String()))
	}
	return fmt.Errorf("%w: %s", ErrAnswer, said)
}

// contentRange parses "bytes FIRST-LAST/SIZE".
func contentRange(values []string) (first, last, size int64, err error) {
	if len(values) != 1 {
		return 0, 0, 0, fmt.Errorf("%w: %d Content-Range headers", ErrAnswer, len(values))
	}
	numbers, ok := strings.CutPrefix(values[0], "bytes ")
	span, total, slash := strings.Cut(numbers, "/")
	from, to, dash := strings.Cut(span, "-")
	var parsed [3]int64
	for i, s := range []string{from, to, total} {
		n, err := strconv.ParseUint(s, 10, 63)
		ok = ok && err == nil
		parsed[i] = int64(n)
	}
	first, last, size = parsed[0], parsed[1], parsed[2]
	if !ok || !slash || !dash || first > last || last >= size {
		return 0, 0, 0, fmt.Errorf("%w: its Content-Range is %s", ErrAnswer, shorten(values[0]))
	}
	return first, last, size, nil
}

// shorten quotes the start of a server's text.
func shorten(s string) string {
	const most = 200
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}
