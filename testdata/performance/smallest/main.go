// Smallest reads what one run of chainfix on a disk of three layers reads, and
// does nothing with it: the least that a Go program can take for it.
package main

import (
	"io"
	"os"
)

func main() {
	document, err := os.ReadFile(os.Args[1])
	if err != nil {
		os.Exit(1)
	}
	head := make([]byte, 4096)
	for _, path := range os.Args[2:] {
		image, err := os.Open(path)
		if err != nil {
			os.Exit(1)
		}
		info, err := image.Stat()
		if err != nil {
			os.Exit(1)
		}
		if _, err := image.ReadAt(head, 0); err != nil && err != io.EOF {
			os.Exit(1)
		}
		// Of the base, which nobody vouches for, the other marks too.
		if path == os.Args[len(os.Args)-1] {
			image.ReadAt(head[:5], 32769)
			image.ReadAt(head[:512], info.Size()-512)
		}
		image.Close()
	}
	os.Stdout.Write(document)
}
