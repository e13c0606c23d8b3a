package chain_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// The XML of a disk states only its own image, as qcow2; that image names a
// backing image, and does not record its format.
func ExampleWalker() {
	dir, err := os.MkdirTemp("", "chainfix-example-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	top := filepath.Join(dir, "web.qcow2")
	writeImage(top, mkimage.Qcow2{VirtualSize: 1 << 20, Backing: "base.img"})
	writeImage(filepath.Join(dir, "base.img"), mkimage.Qcow2{VirtualSize: 1 << 20})

	stated := chain.Stated{Target: "vda", Layers: []chain.Layer{{
		Source: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: top}},
		Format: probe.Qcow2, From: chain.XML,
	}}}
	for _, rule := range []chain.Rule{chain.Leaf, chain.Strict} {
		walker := &chain.Walker{Policy: chain.Policy{Rule: rule}}
		walked, err := walker.Walk(context.Background(), stated)
		if err != nil {
			panic(err)
		}
		fmt.Println(rule, "says", walked.Verdict)
		for _, layer := range walked.Layers {
			if layer.From != chain.Unstated {
				fmt.Printf("  %s is %s: %s\n", filepath.Base(layer.Source.File.File), layer.Format, layer.From)
			}
		}
		for _, f := range walked.Findings {
			fmt.Println("  finding:", f.Code)
		}
	}
	// Output:
	// leaf says fixable
	//   web.qcow2 is qcow2: xml
	//   base.img is qcow2: probe
	//   finding: probed-format
	// strict says refused
	//   web.qcow2 is qcow2: xml
	//   finding: probed-not-raw
}

func writeImage(path string, image mkimage.Qcow2) {
	file, err := os.Create(path)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	if _, err := image.WriteTo(file); err != nil {
		panic(err)
	}
}
