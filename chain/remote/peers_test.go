package remote

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// source is a network source with one host.
func source(protocol, name, address string) *libvirtxml.DomainDiskSource {
	n := &libvirtxml.DomainDiskSourceNetwork{Protocol: protocol, Name: name}
	if host, port, err := net.SplitHostPort(address); err == nil {
		n.Hosts = []libvirtxml.DomainDiskSourceHost{{Name: host, Port: port}}
	} else {
		n.Hosts = []libvirtxml.DomainDiskSourceHost{{Transport: "unix", Socket: address}}
	}
	return &libvirtxml.DomainDiskSource{Network: n}
}

// overlay makes a qcow2 image with some data, that names a backing image which
// is nowhere, in a folder of its own.
func overlay(t *testing.T) (path string) {
	t.Helper()
	peers.Require(t, "qemu-img", "qemu-io")
	path = filepath.Join(t.TempDir(), "over lay%.qcow2")
	for _, args := range [][]string{
		{"qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", "/images/base.img", "-F", "raw", path, "64M"},
		{"qemu-io", "--image-opts", "-c", "write -q -P 7 1M 700k", "driver=qcow2,backing=,file.filename=" + path},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	return path
}

// Every way to an image shows the same bytes as the file that the server has,
// and the same header.
func TestRealServers(t *testing.T) {
	path := overlay(t)
	dir, name := filepath.Split(path)
	tlsServer := httptest.NewTLSServer(http.FileServer(http.Dir(dir)))
	defer tlsServer.Close()
	o := &Opener{QemuImg: "qemu-img", roots: tlsServer.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}

	for _, way := range []struct {
		name string
		src  func(t *testing.T) *libvirtxml.DomainDiskSource
	}{
		{"http", func(t *testing.T) *libvirtxml.DomainDiskSource { return source("http", name, peers.HTTP(t, dir)) }},
		{"https", func(t *testing.T) *libvirtxml.DomainDiskSource {
			return source("https", name, tlsServer.Listener.Addr().String())
		}},
		{"nbd, TCP", func(t *testing.T) *libvirtxml.DomainDiskSource {
			return source("nbd", "", peers.QemuNBD(t, "tcp", "--format=raw", "--read-only", path))
		}},
		{"nbd, Unix socket", func(t *testing.T) *libvirtxml.DomainDiskSource {
			return source("nbd", "disk", peers.QemuNBD(t, "unix", "--format=raw", "--read-only", "--export-name=disk", path))
		}},
		{"ftp by qemu-img", func(t *testing.T) *libvirtxml.DomainDiskSource { return source("ftp", name, peers.FTP(t, dir)) }},
		{"iscsi by qemu-img", func(t *testing.T) *libvirtxml.DomainDiskSource {
			address, target := peers.ISCSI(t, path)
			return source("iscsi", target+"/1", address)
		}},
	} {
		t.Run(way.name, func(t *testing.T) { compare(t, o, way.src(t), path) })
	}
}

func compare(t *testing.T, o *Opener, src *libvirtxml.DomainDiskSource, path string) {
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	img, err := o.Open(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	if img.Size() != int64(len(content)) {
		t.Fatalf("%d bytes, the file has %d", img.Size(), len(content))
	}
	id, err := o.Identify(t.Context(), src)
	if want := (storage.FileID{Remote: storage.Name(src)}); err != nil || id != want || img.ID() != want {
		t.Errorf("%v, %v, %v, want %v", id, img.ID(), err, want)
	}
	if id, changed, err := o.ChangeTime(t.Context(), src); err != nil || id != img.ID() || changed != 0 {
		t.Errorf("%v, %d, %v", id, changed, err)
	}

	file := bytes.NewReader(content)
	header, err := probe.Read(img, img.Size(), probe.Qcow2)
	want, wantErr := probe.Read(file, file.Size(), probe.Qcow2)
	if err != nil || wantErr != nil {
		t.Fatal(err, wantErr)
	}
	if diff := cmp.Diff(want, header); diff != "" {
		t.Errorf("the header differs from the file's (-file +image):\n%s", diff)
	}
	for range 30 {
		off := rand.Int64N(file.Size() + 1000)
		got, want := make([]byte, rand.IntN(300<<10)), make([]byte, 300<<10)
		n, err := img.ReadAt(got, off)
		m, wantErr := file.ReadAt(want[:len(got)], off)
		if n != m || err != wantErr || !bytes.Equal(got[:n], want[:n]) {
			t.Errorf("%d bytes at %d: %d and %v, of the file %d and %v", len(got), off, n, err, m, wantErr)
		}
	}
}

// What real servers answer about images that they do not have.
func TestRealServersWithoutTheImage(t *testing.T) {
	path := overlay(t)
	dir := filepath.Dir(path)
	o := &Opener{QemuImg: "qemu-img"}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, test := range []struct {
		name string
		src  *libvirtxml.DomainDiskSource
		want error
	}{
		{"http", source("http", "absent", peers.HTTP(t, dir)), fs.ErrNotExist},
		{"http, no ranges", source("http", filepath.Base(path), peers.HTTPWithoutRanges(t, dir)), ErrNoRanges},
		{"nbd", source("nbd", "absent", peers.QemuNBD(t, "tcp", "--format=raw", "--read-only", path)), fs.ErrNotExist},
		{"ftp", source("ftp", "absent", peers.FTP(t, dir)), ErrQemuImg},
		{"no socket", source("nbd", "", filepath.Join(dir, "socket")), fs.ErrNotExist},
		{"nobody listens", source("nbd", "", closed.Addr().String()), nil},
		{"nobody listens there either", source("http", "x", closed.Addr().String()), nil},
	} {
		img, err := o.Open(t.Context(), test.src)
		var path *fs.PathError
		if img != nil || !errors.As(err, &path) || path.Op != "open" || path.Path != storage.Describe(test.src) {
			t.Errorf("%s: %v, %v", test.name, img, err)
		}
		if test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}

// An empty image is one, whatever the server makes of a range of nothing.
func TestEmptyImages(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "empty"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Range", "bytes */0")
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
	}))
	defer refusing.Close()
	for _, src := range []*libvirtxml.DomainDiskSource{
		source("http", "empty", peers.HTTP(t, dir)),
		source("http", "empty", refusing.Listener.Addr().String()),
		source("nbd", "", peers.QemuNBD(t, "tcp", "--format=raw", "--read-only", filepath.Join(dir, "empty"))),
		source("ftp", "empty", peers.FTP(t, dir)),
	} {
		img, err := (&Opener{QemuImg: "qemu-img"}).Open(t.Context(), src)
		if err != nil {
			t.Error(err)
			continue
		}
		n, err := img.ReadAt(make([]byte, 1), 0)
		if img.Size() != 0 || n != 0 || err != io.EOF {
			t.Errorf("%s: size %d, read %d, %v", storage.Name(src), img.Size(), n, err)
		}
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	}
}

// qemu-img is told that the image is raw: that it would be recognised as
// another format shows nowhere, and a name in it is not followed.
func TestQemuImgProbesNothing(t *testing.T) {
	peers.Require(t, "qemu-img")
	dir := t.TempDir()
	// As long as nothing opens this as a VMDK, the file that it names need
	// not be there.
	text := "# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicFlat\"\nRW 4096 FLAT \"" + filepath.Join(dir, "absent") + "\" 0\n"
	content := append([]byte(text), make([]byte, 512-len(text)%512)...)
	if err := os.WriteFile(filepath.Join(dir, "disk"), content, 0o644); err != nil {
		t.Fatal(err)
	}
	img, err := (&Opener{QemuImg: "qemu-img"}).Open(t.Context(), source("ftp", "disk", peers.FTP(t, dir)))
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	got := make([]byte, img.Size())
	if _, err := img.ReadAt(got, 0); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%v: %q", err, got)
	}
}

// The operator may believe the headers of local images although others are read
// on the network.
func TestBelievedFolder(t *testing.T) {
	dir := t.TempDir()
	for name, i := range map[string]mkimage.Qcow2{"top": {Backing: "middle"}, "middle": {Backing: "base", BackingFormat: "qcow2"}, "base": {}} {
		i.VirtualSize = 1 << 20
		data, err := i.Bytes()
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	top := chain.Layer{Format: probe.Qcow2, From: chain.XML, Source: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: dir + "/top"}}}
	policy := chain.Policy{Folders: []chain.Folder{{Path: dir, TrustHeaders: true}}}
	for _, test := range []struct {
		local storage.Opener
		want  chain.Verdict
	}{{nil, chain.Fixable}, {struct{ storage.Opener }{storage.FileOpener{}}, chain.Refused}} {
		w := &chain.Walker{Images: image.NewCache(&Opener{Local: test.local}), Policy: policy}
		got, err := w.Walk(t.Context(), chain.Stated{Layers: []chain.Layer{top}})
		if err != nil || got.Verdict != test.want {
			t.Errorf("%T: %+v, %v", test.local, got, err)
		}
	}
}

// Sources that are not on the network are somebody else's.
func TestLocalSources(t *testing.T) {
	path := filepath.Join(t.TempDir(), "img")
	if err := os.WriteFile(path, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	src := &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: path}}
	for _, o := range []*Opener{{}, {Local: storage.FileOpener{}}} {
		img, err := o.Open(t.Context(), src)
		if err != nil {
			t.Fatal(err)
		}
		defer img.Close()
		if id, err := o.Identify(t.Context(), src); err != nil || id != img.ID() || img.Size() != 7 {
			t.Errorf("%v, %v, %v", id, img.ID(), err)
		}
		id, changed, err := o.ChangeTime(t.Context(), src)
		_, want, wantErr := storage.FileOpener{}.ChangeTime(t.Context(), src)
		if err != nil || wantErr != nil || id != img.ID() || changed != want || changed == 0 {
			t.Errorf("%v, %d, %v; want %v, %d, %v", id, changed, err, img.ID(), want, wantErr)
		}
		for _, other := range []*libvirtxml.DomainDiskSource{nil, {}, {Volume: &libvirtxml.DomainDiskSourceVolume{Pool: "p", Volume: "v"}}} {
			_, err := o.Open(context.Background(), other)
			_, idErr := o.Identify(context.Background(), other)
			_, _, dateErr := o.ChangeTime(context.Background(), other)
			if !errors.Is(err, storage.ErrNotReadable) || !errors.Is(idErr, storage.ErrNotReadable) || !errors.Is(dateErr, storage.ErrNotReadable) {
				t.Errorf("%s: %v, %v, %v", storage.Describe(other), err, idErr, dateErr)
			}
		}
	}
}
