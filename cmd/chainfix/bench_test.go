package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/probe/mkimage"
)

// BenchmarkCheck examines 300 documents with chains of nine layers.
func BenchmarkCheck(b *testing.B) {
	const documents, layers = 300, 9
	dir := b.TempDir()
	args := []string{"chainfix", "check"}
	for d := range documents {
		for i := range layers {
			image := mkimage.Qcow2{VirtualSize: demoSize}
			if i < layers-1 {
				image.Backing, image.BackingFormat = fmt.Sprintf("%d-%d.img", d, i+1), "qcow2"
			}
			content, err := image.Bytes()
			if err != nil {
				b.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d-%d.img", d, i)), content, 0o644); err != nil {
				b.Fatal(err)
			}
		}
		var document bytes.Buffer
		if err := writeDemoDomain(&document, filepath.Join(dir, fmt.Sprintf("%d-0.img", d))); err != nil {
			b.Fatal(err)
		}
		path := filepath.Join(dir, fmt.Sprintf("%d.xml", d))
		if err := os.WriteFile(path, document.Bytes(), 0o644); err != nil {
			b.Fatal(err)
		}
		args = append(args, path)
	}
	for b.Loop() {
		if got := run(context.Background(), args, streams{nil, io.Discard, io.Discard}); got != exitChange {
			b.Fatalf("exit status %d", got)
		}
	}
}

// BenchmarkGuard is what libvirt waits for at the start of a guest with a chain of three
// images: the program, which starts itself again to read.
func BenchmarkGuard(b *testing.B) {
	dir := b.TempDir()
	path := func(i int) string { return filepath.Join(dir, fmt.Sprint(i)) }
	for i, image := range []mkimage.Qcow2{{Backing: "1", BackingFormat: "qcow2"}, {Backing: "2", BackingFormat: "qcow2"}, {}} {
		image.VirtualSize = demoSize
		if err := os.WriteFile(path(i), bytesOf(image), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	below := func(i int, further string) string {
		return fmt.Sprintf("<backingStore type='file'><format type='qcow2'/><source file='%s'/>%s</backingStore>", path(i), further)
	}
	xml := hookGuest("g", path(0), below(1, below(2, "<backingStore/>")))
	for b.Loop() {
		cmd := exec.Command("chainfix", "hook", "g", "prepare", "begin", "-")
		cmd.Stdin = strings.NewReader(xml)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			b.Fatalf("%v\n%s", err, out)
		}
	}
}
