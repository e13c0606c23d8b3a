package remote

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/testdata/peers"
)

// fileSize is the length that the servers of these tests give their file.
const fileSize = 10 * blockSize

// ranged answers a request for a range of a file of zeros as it should be, but
// for what the test has set in the header.
func ranged(w http.ResponseWriter, r *http.Request, size int64) {
	var from, last int64
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &last); err != nil {
		http.Error(w, "no range", http.StatusBadRequest)
		return
	}
	last = min(last, size-1)
	if w.Header().Get("Content-Range") == "" {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, last, size))
	}
	if w.Header().Get("Content-Length") == "" {
		w.Header().Set("Content-Length", strconv.FormatInt(last-from+1, 10))
	}
	w.WriteHeader(http.StatusPartialContent)
	w.Write(make([]byte, last-from+1))
}

// with answers as it should be, with some lines of the header changed.
func with(lines ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(lines); i += 2 {
			w.Header().Add(lines[i], lines[i+1])
		}
		ranged(w, r, fileSize)
	}
}

func answers(code int, lines ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(lines); i += 2 {
			w.Header().Set(lines[i], lines[i+1])
		}
		w.WriteHeader(code)
	}
}

// raw writes an answer as it is, and hangs up.
func raw(answer func(conn net.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		answer(conn)
	}
}

const goodHeader = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-65535/655360\r\n"

// What a server may answer to the first request.
func TestHostileHTTPServers(t *testing.T) {
	const escape = "\x1b[2J"
	endless := func(head, more string) http.HandlerFunc {
		return raw(func(conn net.Conn) {
			// It ends when the client hangs up.
			_, err := io.WriteString(conn, head)
			for err == nil {
				_, err = io.WriteString(conn, more)
			}
		})
	}
	for _, test := range []struct {
		name   string
		server http.HandlerFunc
		want   error
		says   string
	}{
		{"as it should be", with(), nil, ""},
		{"no range", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "whole") }, ErrNoRanges, ""},
		{"an endless file without ranges", endless("HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("x", 4096)), ErrNoRanges, ""},
		{"not there", answers(404), fs.ErrNotExist, ""},
		{"gone", answers(410), fs.ErrNotExist, ""},
		{"who are you", answers(401, "WWW-Authenticate", `Basic realm="x"`), fs.ErrPermission, ""},
		{"a header that net/http prints", answers(206, "Content-Range", escape), errAny, `\x1b`},
		{"forbidden", answers(403), fs.ErrPermission, ""},
		{"broken", answers(500), ErrAnswer, "500 Internal Server Error"},
		{"no code there is", answers(799), ErrAnswer, "799"},
		{"nothing", answers(204), ErrAnswer, ""},
		{"a file that ends before its start", answers(416, "Content-Range", "bytes */12"), ErrAnswer, ""},
		{"redirect", answers(302, "Location", "https://user:secret@other.example/x?token=secret#secret"), ErrRedirect, `"https://other.example/x"`},
		{"redirect on the same host", answers(307, "Location", "/y"), ErrRedirect, `/y"`},
		{"redirect to a file", answers(301, "Location", "file:///etc/passwd"), ErrRedirect, `"file:///etc/passwd"`},
		{"redirect nowhere", answers(308), ErrRedirect, "nowhere"},
		{"no Content-Range", answers(206), ErrAnswer, ""},
		{"two of them", with("Content-Range", "bytes 0-65535/655360", "Content-Range", "bytes 0-65535/655360"), ErrAnswer, "2 Content-Range headers"},
		{"another range", with("Content-Range", "bytes 1-65536/655360"), ErrAnswer, "1 to 65536"},
		{"a longer range", with("Content-Range", "bytes 0-65536/655360"), ErrAnswer, ""},
		{"a shorter range", with("Content-Range", "bytes 0-65534/655360"), ErrAnswer, ""},
		{"an unknown size", with("Content-Range", "bytes 0-65535/*"), ErrAnswer, ""},
		{"a size below the range", with("Content-Range", "bytes 0-65535/65535"), ErrAnswer, ""},
		{"a size that no int64 has", with("Content-Range", "bytes 0-65535/9223372036854775808"), ErrAnswer, ""},
		{"a negative range", with("Content-Range", "bytes -1-65535/655360"), ErrAnswer, ""},
		{"a sign", with("Content-Range", "bytes 0-+65535/655360"), ErrAnswer, ""},
		{"another unit", with("Content-Range", "pages 0-65535/655360"), ErrAnswer, ""},
		{"no numbers", with("Content-Range", "bytes "+strings.Repeat("x", 1000)), ErrAnswer, ""},
		{"several ranges at once", answers(206, "Content-Type", "multipart/byteranges; boundary=x"), ErrAnswer, ""},
		{"compressed", with("Content-Encoding", "gzip"), ErrAnswer, `"gzip"`},
		{"another length", raw(func(conn net.Conn) { io.WriteString(conn, goodHeader+"Content-Length: 65537\r\n\r\n") }), ErrAnswer, "65537"},
		{"a short body", raw(func(conn net.Conn) { io.WriteString(conn, goodHeader+"Content-Length: 65536\r\n\r\nshort") }), io.ErrUnexpectedEOF, "sent 5"},
		{"a short body without a length", raw(func(conn net.Conn) { io.WriteString(conn, goodHeader+"\r\nshort") }), io.ErrUnexpectedEOF, ""},
		{"an endless body", endless(goodHeader+"\r\n", strings.Repeat("x", 4096)), ErrAnswer, "more than 65536"},
		{"an endless header", endless(goodHeader, "X-Endless: "+strings.Repeat("x", 4096)+"\r\n"), errAny, "exceeded"},
		{"an endless line", endless("HTTP/1.1 206 ", strings.Repeat("x", 4096)), errAny, "exceeded"},
		{"endless promises", endless("", "HTTP/1.1 103 Early Hints\r\n\r\n"), errAny, ""},
		{"another protocol", raw(func(conn net.Conn) { io.WriteString(conn, "SSH-2.0-OpenSSH"+escape+"\r\n") }), errAny, ""},
		{"nothing at all", raw(func(conn net.Conn) {}), io.EOF, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(test.server)
			defer server.Close()
			img, err := new(Opener).Open(t.Context(), source("http", "image", server.Listener.Addr().String()))
			if img != nil {
				defer img.Close()
			}
			switch {
			case test.want == nil && (err != nil || img.Size() != fileSize):
				t.Errorf("%v", err)
			case test.want != nil && (err == nil || img != nil || test.want != errAny && !errors.Is(err, test.want)):
				t.Errorf("%v, want %v", err, test.want)
			case err != nil && (!strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "secret") ||
				strings.Contains(err.Error(), escape[:1]) || len(err.Error()) > 1000):
				t.Errorf("%q, want %q in it", err, test.says)
			}
		})
	}
}

var errAny = errors.New("any error")

// A file that becomes another one between two requests.
func TestHTTPFileIsReplaced(t *testing.T) {
	for _, test := range []struct {
		name          string
		before, after http.HandlerFunc
		want          error
	}{
		{"it stays", with("ETag", `"a"`), with("ETag", `"a"`), nil},
		{"another entity", with("ETag", `"a"`), with("ETag", `"b"`), storage.ErrChanged},
		{"no entity any more", with("ETag", `"a"`), with(), storage.ErrChanged},
		{"another time", with("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT"), with("Last-Modified", "Mon, 02 Jan 2006 15:04:06 GMT"), storage.ErrChanged},
		{"another size", with(), func(w http.ResponseWriter, r *http.Request) { ranged(w, r, fileSize+1) }, storage.ErrChanged},
		{"too small a size", with(), func(w http.ResponseWriter, r *http.Request) { ranged(w, r, fileSize-1) }, storage.ErrChanged},
		{"a size before the range", with(), answers(416, "Content-Range", "bytes */1"), storage.ErrChanged},
		{"empty", with(), answers(200, "Content-Length", "0"), storage.ErrChanged},
		{"removed", with(), answers(404), fs.ErrNotExist},
		{"no ranges any more", with(), answers(200, "Content-Length", strconv.Itoa(fileSize)), ErrNoRanges},
		{"redirected", with(), answers(302, "Location", "//other/x"), ErrRedirect},
		{"another range", with(), with("Content-Range", "bytes 0-65535/655360"), ErrAnswer},
	} {
		t.Run(test.name, func(t *testing.T) {
			var requests atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if requests.Add(1) == 1 {
					test.before(w, r)
				} else {
					test.after(w, r)
				}
			}))
			defer server.Close()
			img, err := new(Opener).Open(t.Context(), source("http", "image", server.Listener.Addr().String()))
			if err != nil {
				t.Fatal(err)
			}
			defer img.Close()
			p := make([]byte, 512)
			if _, err := img.ReadAt(p, 0); err != nil || requests.Load() != 1 {
				t.Errorf("the first block: %v after %d requests", err, requests.Load())
			}
			_, err = img.ReadAt(p, fileSize-512)
			if !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if _, again := img.ReadAt(p, fileSize/2); err != nil && (again != err || requests.Load() != 2) {
				t.Errorf("tried again: %v after %d requests", again, requests.Load())
			}
		})
	}
}

// A header, the ISO mark and the last sector cost two requests on one
// connection, which the image's end closes.
func TestHTTPRequests(t *testing.T) {
	var requests, connections atomic.Int32
	closed := make(chan struct{}, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		for name := range r.Header {
			switch name {
			case "Range", "User-Agent", "Accept-Encoding":
			default:
				t.Errorf("sent %s: %q", name, r.Header[name])
			}
		}
		if r.Method != http.MethodGet || r.RequestURI != "/a%20b%25/c?x=1&y=%20" {
			t.Errorf("%s %s", r.Method, r.RequestURI)
		}
		ranged(w, r, fileSize)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			connections.Add(1)
		case http.StateClosed:
			closed <- struct{}{}
		}
	}
	server.Start()
	defer server.Close()
	// A proxy that is nowhere would be in the way.
	for _, name := range []string{"http_proxy", "HTTP_PROXY", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:1")
	}

	src := source("http", "a b%/c", server.Listener.Addr().String())
	src.Network.Query = "x=1&y=%20"
	img, err := new(Opener).Open(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := probe.Signatures(img, img.Size()); err != nil {
		t.Error(err)
	}
	if _, err := probe.Read(img, img.Size(), probe.Raw); err != nil {
		t.Error(err)
	}
	if requests.Load() != 2 || connections.Load() != 1 {
		t.Errorf("%d requests on %d connections", requests.Load(), connections.Load())
	}
	if err := img.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-closed:
	case <-t.Context().Done():
		t.Error("the connection stays open")
	}
	if _, err := img.ReadAt(make([]byte, 1), fileSize/2); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read after Close: %v", err)
	}
	if err := img.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
	if requests.Load() != 2 {
		t.Errorf("%d requests", requests.Load())
	}
}

// What is fetched is bounded, and so is what one call may ask for.
func TestBytesAreBounded(t *testing.T) {
	const size = 1 << 40
	var sent atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var from, last int64
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &last)
		sent.Add(last - from + 1)
		ranged(w, r, size)
	}))
	defer server.Close()
	img, err := new(Opener).Open(t.Context(), source("http", "image", server.Listener.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	if _, err := img.ReadAt(make([]byte, maxRead+1), 0); !errors.Is(err, ErrTooMuch) {
		t.Errorf("more than may be asked for: %v", err)
	}
	if n, err := img.ReadAt(make([]byte, maxRead), 1); n != maxRead || err != nil {
		t.Errorf("as much as may be asked for: %d, %v", n, err)
	}
	off := int64(size)
	for err = nil; err == nil; off -= 7 * blockSize {
		_, err = img.ReadAt(make([]byte, 1), off-1)
	}
	if !errors.Is(err, ErrTooMuch) || sent.Load() > maxFetch {
		t.Errorf("%v after %d bytes", err, sent.Load())
	}
	if _, err := img.ReadAt(make([]byte, 1), -1); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a negative offset: %v", err)
	}
}

// A certificate that nobody vouches for is believed only if the XML says so.
func TestCertificates(t *testing.T) {
	server := httptest.NewUnstartedServer(with())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshakes that fail
	server.StartTLS()
	defer server.Close()
	src := source("https", "image", server.Listener.Addr().String())
	if img, err := new(Opener).Open(t.Context(), src); err == nil {
		img.Close()
		t.Error("believed")
	}
	src.SSL = &libvirtxml.DomainDiskSourceSSL{Verify: "yes"}
	if img, err := new(Opener).Open(t.Context(), src); err == nil {
		img.Close()
		t.Error("believed")
	}
	src.SSL.Verify = "no"
	img, err := new(Opener).Open(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	img.Close()
}

// The source's cookies are sent as they are, or nothing is.
func TestCookies(t *testing.T) {
	got := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("Cookie")
		http.SetCookie(w, &http.Cookie{Name: "theirs", Value: "x"})
		ranged(w, r, fileSize)
	}))
	defer server.Close()
	cookies := func(pairs ...string) *libvirtxml.DomainDiskSource {
		src := source("http", "image", server.Listener.Addr().String())
		src.Cookies = &libvirtxml.DomainDiskCookies{}
		for i := 0; i < len(pairs); i += 2 {
			src.Cookies.Cookies = append(src.Cookies.Cookies, libvirtxml.DomainDiskCookie{Name: pairs[i], Value: pairs[i+1]})
		}
		return src
	}
	img, err := new(Opener).Open(t.Context(), cookies("a", "b", "c", `"d"`))
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	if c := <-got; c != `a=b; c="d"` {
		t.Errorf("sent %q", c)
	}
	if _, err := img.ReadAt(make([]byte, 1), fileSize-1); err != nil {
		t.Error(err)
	}
	if c := <-got; c != `a=b; c="d"` {
		t.Errorf("then sent %q", c)
	}
	for _, bad := range [][]string{{"a", "secret; b=c"}, {"a", "secret\r\nX: y"}, {"a b", "secret"}, {"", "secret"}, {"a", `sec"ret`}, {"a", "sec ret"}, {"a", "sec,ret"}} {
		_, err := new(Opener).Open(t.Context(), cookies(bad...))
		if err == nil || strings.Contains(err.Error(), "secret") || len(got) > 0 {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// curl, and so QEMU, takes dot segments out of a path before it asks for it; a
// server may not do the same.
func TestDotSegments(t *testing.T) {
	peers.Require(t, "curl")
	var asked atomic.Value // of strings
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.RequestURI)
		ranged(w, r, fileSize)
	}))
	defer server.Close()
	host := server.Listener.Addr().String()
	for _, name := range []string{"a/../b", "a/./b", "../../b", "a/..", "a/b/", "a//../b", "a b/../%2e%2e/c", "...", "a/.b/..c/d..", "."} {
		src := source("http", name, host)
		src.Network.Query = "q=../x"
		u, err := location(src.Network)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("curl", "-sS", "-r", "0-0", "-o", "/dev/null", u.String()).CombinedOutput(); err != nil {
			t.Fatalf("curl: %v: %s", err, out)
		}
		want := asked.Load()
		img, err := new(Opener).Open(t.Context(), src)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		img.Close()
		if asked := asked.Load(); asked != want {
			t.Errorf("%q: asked for %q, curl for %q", name, asked, want)
		}
	}
}

// Servers that say nothing, or little, are left when the context ends.
func TestSlowServers(t *testing.T) {
	// Each tells when it has said what it says, and waits for the client to
	// go.
	said := make(chan struct{})
	silent := func(conn net.Conn, protocol, greeting string) {
		if protocol == "http" {
			// An answer to nothing would be an error of its own.
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
				t.Error(err)
			}
		}
		io.WriteString(conn, greeting)
		said <- struct{}{}
		io.Copy(io.Discard, conn)
		conn.Close()
	}
	for _, test := range []struct{ name, protocol, greeting string }{
		{"http, nothing", "http", ""},
		{"http, half a header", "http", goodHeader},
		{"http, half a body", "http", goodHeader + "\r\nhalf"},
		{"https, nothing", "https", ""},
		{"nbd, nothing", "nbd", ""},
		{"nbd, half a greeting", "nbd", "NBDMAGIC"},
		{"nbd, no answer to the option", "nbd", "NBDMAGICIHAVEOPT\x00\x01"},
	} {
		t.Run(test.name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				if conn, err := listener.Accept(); err == nil {
					silent(conn, test.protocol, test.greeting)
				}
			}()
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-said
				cancel()
			}()
			img, err := new(Opener).Open(ctx, source(test.protocol, "image", listener.Addr().String()))
			if img != nil || !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A reading that has begun ends with the context too, and with the time limit.
func TestTimeLimit(t *testing.T) {
	server := httptest.NewServer(with())
	defer server.Close()
	address := server.Listener.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	img, err := new(Opener).Open(ctx, source("http", "image", address))
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	cancel()
	if _, err := img.ReadAt(make([]byte, 1), fileSize-1); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
	for _, protocol := range []string{"http", "nbd", "ftp"} {
		_, err := (&Opener{Timeout: time.Nanosecond, QemuImg: "/bin/true"}).Open(t.Context(), source(protocol, "image", address))
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1ns") {
			t.Errorf("%s after a nanosecond: %v", protocol, err)
		}
	}
}

func TestLimit(t *testing.T) {
	for _, test := range []struct {
		own     time.Duration
		seconds string
		want    time.Duration
	}{
		{0, "", DefaultTimeout},
		{time.Minute, "", time.Minute},
		{0, "3", 3 * time.Second},
		{time.Second, "3", time.Second},
		{0, "4294967295", DefaultTimeout},
		{0, "0", 0},
		{0, "-1", 0},
		{0, "4294967296", 0},
	} {
		src := source("http", "image", "host:80")
		if test.seconds != "" {
			src.Timeout = &libvirtxml.DomainDiskSourceTimeout{Seconds: test.seconds}
		}
		got, err := (&Opener{Timeout: test.own}).limit(src)
		if got != test.want || (err == nil) != (test.want != 0) {
			t.Errorf("%v and %q: %v, %v, want %v", test.own, test.seconds, got, err, test.want)
		}
	}
}

// Whatever a Content-Range says, it is a range within a size, or refused.
func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-65535/655360", "bytes 0-0/1", "bytes */0", "bytes 0-1/*", "bytes 1-0/2", "bytes 0-9223372036854775806/9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, size, err := contentRange([]string{s})
		if err != nil {
			if first != 0 || last != 0 || size != 0 || !errors.Is(err, ErrAnswer) {
				t.Errorf("%q: %d-%d/%d, %v", s, first, last, size, err)
			}
			return
		}
		if first < 0 || last < first || size <= last {
			t.Errorf("%q: %d-%d/%d", s, first, last, size)
		}
	})
}
