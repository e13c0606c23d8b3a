package predict_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// An overlay that does not record the format of the qcow2 image below it,
// started by three versions of libvirt.
func ExampleDisk() {
	dir, err := os.MkdirTemp("", "chainfix-example-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	top := filepath.Join(dir, "web.qcow2")
	for path, image := range map[string]mkimage.Qcow2{
		top:                            {VirtualSize: 1 << 20, Backing: "base.img"},
		filepath.Join(dir, "base.img"): {VirtualSize: 1 << 20},
	} {
		file, err := os.Create(path)
		if err != nil {
			panic(err)
		}
		defer file.Close()
		if _, err := image.WriteTo(file); err != nil {
			panic(err)
		}
	}

	stated := chain.Stated{Target: "vda", Layers: []chain.Layer{{
		Source: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: top}},
		Format: probe.Qcow2, From: chain.XML,
	}}}
	walker := new(chain.Walker) // one for all, so that each image is opened once
	for _, version := range []string{"5.10", "6.0", "11.3"} {
		target, err := libvirt.ParsePair(version)
		if err != nil {
			panic(err)
		}
		prediction, err := predict.Disk(context.Background(), walker, stated, target)
		if err != nil {
			panic(err)
		}
		fmt.Println("libvirt", target, prediction.Outcome)
	}
	// Output:
	// libvirt 5.10.0 misopens
	// libvirt 6.0.0 refuses
	// libvirt 11.3.0 starts
}
