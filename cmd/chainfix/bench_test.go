package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
