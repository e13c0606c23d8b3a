package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/chainfix/chainfix/probe/mkimage"
)

// The numbers of guests, of disks for each guest, and of images for each disk.
const (
	guests = 300
	disks  = 3
	layers = 3
)

const virtualSize = 16 << 20

// kind is how much of its chains a guest states. The guests alternate between
// the kinds.
type kind int

const (
	baseUnrecorded kind = iota // that the base is raw is recorded nowhere
	recorded                   // the overlays record all formats
	explicit                   // the definition, too, has the chains
	kinds
)

func kindOf(guest int) kind { return kind(guest) % kinds }

// imageName names the image of a layer; layer 0 is the top.
func imageName(guest, disk, layer int) string {
	suffix := "qcow2"
	if layer == layers-1 {
		suffix = "img"
	}
	return fmt.Sprintf("guest%03d-%d-%d.%s", guest, disk, layer, suffix)
}

func formatOf(layer int) string {
	if layer == layers-1 {
		return "raw"
	}
	return "qcow2"
}

// makeImages makes the images of all guests in one folder.
func makeImages(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for guest := range guests {
		for disk := range disks {
			for layer := range layers {
				if err := makeImage(dir, guest, disk, layer); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func makeImage(dir string, guest, disk, layer int) error {
	path := filepath.Join(dir, imageName(guest, disk, layer))
	if layer == layers-1 {
		return errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, virtualSize))
	}
	image := mkimage.Qcow2{VirtualSize: virtualSize, Backing: imageName(guest, disk, layer+1), BackingFormat: formatOf(layer + 1)}
	if layer == layers-2 && kindOf(guest) == baseUnrecorded {
		image.BackingFormat = ""
	}
	b, err := image.Bytes()
	if err != nil {
		return err
	}
	// Most of it is zeros, which use no disk space.
	return errors.Join(os.WriteFile(path, bytes.TrimRight(b, "\x00"), 0o644), os.Truncate(path, int64(len(b))))
}

// makeDefinitions defines all guests in a folder, with their images in another.
func makeDefinitions(dir, images string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for guest := range guests {
		name := fmt.Sprintf("guest%03d", guest)
		if err := os.WriteFile(filepath.Join(dir, name+".xml"), []byte(definition(name, guest, images)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func definition(name string, guest int, images string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<domain type='qemu'>\n  <name>%s</name>\n  <devices>\n", name)
	for disk := range disks {
		fmt.Fprintf(&b, "    <disk type='file' device='disk'>\n      <driver name='qemu' type='qcow2'/>\n      <source file='%s'/>\n",
			filepath.Join(images, imageName(guest, disk, 0)))
		if kindOf(guest) == explicit {
			for layer := 1; layer < layers; layer++ {
				fmt.Fprintf(&b, "      <backingStore type='file'>\n      <format type='%s'/>\n      <source file='%s'/>\n",
					formatOf(layer), filepath.Join(images, imageName(guest, disk, layer)))
			}
			b.WriteString("      <backingStore/>\n" + strings.Repeat("      </backingStore>\n", layers-1))
		}
		fmt.Fprintf(&b, "      <target dev='vd%c' bus='virtio'/>\n    </disk>\n", 'a'+disk)
	}
	b.WriteString("  </devices>\n</domain>\n")
	return b.String()
}

// statements is the number of statements in a policy.
const statements = 10_000

// makePolicy states the formats of all bases, and of images that are not there.
func makePolicy(path, images string) error {
	var b strings.Builder
	b.WriteString("version: 1\nformats:\n")
	for n := range statements {
		name := fmt.Sprintf("absent%05d.img", n)
		if n < statements/2 && n < guests*disks {
			name = imageName(n/disks, n%disks, layers-1)
		}
		fmt.Fprintf(&b, "  - path: %s\n    format: raw\n", filepath.Join(images, name))
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}
