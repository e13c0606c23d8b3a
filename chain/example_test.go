package chain_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// The XML states the disk's own image. Its header names a backing image and
// records the format of that, so the chain can be written down.
func ExampleWalker_Walk() {
	dir, err := os.MkdirTemp("", "chain")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	top, err := mkimage.Qcow2{VirtualSize: 1 << 20, Backing: "base.img", BackingFormat: "raw"}.Bytes()
	if err != nil {
		log.Fatal(err)
	}
	for name, image := range map[string][]byte{"top.qcow2": top, "base.img": make([]byte, 1<<20)} {
		if err := os.WriteFile(filepath.Join(dir, name), image, 0o600); err != nil {
			log.Fatal(err)
		}
	}

	w := &chain.Walker{}
	found, err := w.Walk(context.Background(), chain.Stated{Layers: []chain.Layer{{
		Source: storage.LocalSource(filepath.Join(dir, "top.qcow2"), false),
		Format: probe.Qcow2,
		From:   chain.XML,
	}}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(found.Verdict)
	for _, layer := range found.Layers {
		path, _ := layer.LocalPath()
		fmt.Println(filepath.Base(path), layer.Format, "stated by", layer.From)
	}
	// Output:
	// fixable
	// top.qcow2 qcow2 stated by xml
	// base.img raw stated by header
}
