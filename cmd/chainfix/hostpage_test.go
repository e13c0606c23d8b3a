package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/page"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/golden"
	"github.com/chainfix/chainfix/testdata/peers"
)

// pageHost makes the definitions and images of a host with problems of all kinds: of 15 guests 5 have a
// base that is not what it seems, one has a missing base, 4 are guessed, and 5 are fine.
func pageHost(t *testing.T, dir string, guests int) (definitions string) {
	t.Helper()
	definitions, images := filepath.Join(dir, "etc/libvirt/qemu"), filepath.Join(dir, "images")
	for _, folder := range []string{definitions, images} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name string, data []byte) { writeFile(t, filepath.Join(images, name), data) }
	qcow2 := func(name, backing, format string) {
		write(name, bytesOf(mkimage.Qcow2{VirtualSize: 20 << 30, ClusterBits: 16, Backing: backing, BackingFormat: format}))
	}
	define := func(format string, numbered string, n int) {
		name := fmt.Sprintf(numbered, n)
		writeFile(t, filepath.Join(definitions, name+".xml"), []byte(guestWithDisk(name, format, filepath.Join(images, name+".img"))))
	}
	qcow2("base.img", "system.img", "raw")
	write("debian-12.img", make([]byte, 64<<10))
	qcow2("snapshot.img", "debian-12.img", "raw")
	for n := range guests {
		switch n % 15 {
		case 0, 1, 2, 3, 4:
			qcow2(fmt.Sprintf("shop%d.img", n), "base.img", "")
			define("qcow2", "shop%d", n)
		case 5:
			qcow2(fmt.Sprintf("mail%d.img", n), "gone.qcow2", "qcow2")
			define("qcow2", "mail%d", n)
		case 6, 7, 8, 9:
			qcow2(fmt.Sprintf("web%d.img", n), "debian-12.img", "")
			define("qcow2", "web%d", n)
		case 10:
			qcow2(fmt.Sprintf("db%d.img", n), "snapshot.img", "qcow2")
			define("qcow2", "db%d", n)
		default:
			write(fmt.Sprintf("git%d.img", n), make([]byte, 512))
			define("raw", "git%d", n)
		}
	}
	return definitions
}

// scanned is what a scan of these definitions prints in one form.
func scanned(t *testing.T, definitions, form string) string {
	t.Helper()
	var out, complaints bytes.Buffer
	args := []string{"chainfix", "host", "scan", "--from", definitions, "--predict", "5.10.0", "--predict", "11.3.0", "--output", form}
	if status := run(t.Context(), args, streams{nil, &out, &complaints}); status != exitRefused {
		t.Fatalf("%q: status %d\n%s", args, status, complaints.String())
	}
	valid(t, out.String())
	return out.String()
}

// drawPicture draws the page that the README shows, of a host that has a name and a time of its own. Fonts
// differ from one machine to another, and so nobody compares it.
func drawPicture(t *testing.T, b *peers.Browser, report string) {
	t.Helper()
	hosts, err := scannedHosts([]byte(report))
	if err != nil {
		t.Fatal(err)
	}
	run := &hosts[0].Report.Run
	run.Host, run.Source, run.Chainfix, run.Time = "hypervisor1", "/etc/libvirt/qemu", "", time.Date(2026, 11, 28, 20, 9, 0, 0, time.UTC)
	var out bytes.Buffer
	if err := page.Write(&out, hosts...); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "page.html")
	writeFile(t, file, out.Bytes())
	b.Look(1000, 800, "light")
	b.Open(file)
	var guests float64 // where they begin
	b.Eval("[...document.querySelectorAll('h2')].find(h => h.textContent == 'Guests').getBoundingClientRect().top", &guests)
	writeFile(t, filepath.Join("..", "..", "docs", "page.png"), fewColours(t, b.Screenshot(int(guests))))
}

// fewColours is a picture with the colours that most of it has, which takes a third of the bytes.
func fewColours(t *testing.T, data []byte) []byte {
	t.Helper()
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	count := make(map[color.Color]int)
	size := picture.Bounds()
	for y := range size.Max.Y {
		for x := range size.Max.X {
			count[picture.At(x, y)]++
		}
	}
	most := slices.SortedFunc(maps.Keys(count), func(a, b color.Color) int { return count[b] - count[a] })
	small := image.NewPaletted(size, most[:min(len(most), 128)])
	draw.Draw(small, size, picture, image.Point{}, draw.Src)
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, small); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestPageInABrowser: the pages of three hosts in a real Chromium.
func TestPageInABrowser(t *testing.T) {
	b := peers.StartBrowser(t)
	for _, guests := range []int{15, 300, 5000} {
		dir := t.TempDir()
		definitions := pageHost(t, dir, guests)
		text := strings.ReplaceAll(scanned(t, definitions, "html"), dir, "/var/lib/libvirt")
		file := filepath.Join(dir, "page.html")
		writeFile(t, file, []byte(text))
		took := b.Draw(file, fmt.Sprint(guests), os.Getenv("CHAINFIX_SCREENSHOTS"))
		if golden.Update() && guests == 15 {
			drawPicture(t, b, strings.ReplaceAll(scanned(t, definitions, "json"), dir, "/var/lib/libvirt"))
		}
		t.Logf("%d guests: a page of %d KiB, opened in at most %d ms", guests, len(text)>>10, took.Milliseconds())
	}
}
