package chain

import (
	"context"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// An image on the network has one name, and neither another path nor a pattern
// speaks for it.
func TestStatementOnTheNetwork(t *testing.T) {
	src := &libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{
		Protocol: "nbd", Name: "base", Hosts: []libvirtxml.DomainDiskSourceHost{{Name: "storage", Port: "10809"}}}}
	for _, c := range []struct {
		statement Statement
		want      probe.Format
	}{
		{Statement{Path: "nbd://storage:10809/base", Format: probe.Qcow2}, probe.Qcow2},
		{Statement{Path: "nbd://storage:10809/other", Format: probe.Qcow2}, ""},
		{Statement{Path: "nbd://storage:10809/*", Pattern: true, Format: probe.Qcow2}, ""},
		{Statement{Path: "nbd:/*/*", Pattern: true, Format: probe.Qcow2}, ""},
	} {
		k := &walk{Walker: &Walker{Images: image.NewCache(storage.FileOpener{}), Policy: Policy{Trust: []Statement{c.statement}}}, ctx: context.Background(), chain: &Chain{}}
		k.prepare()
		if f, ok := k.trusted(src); f.Format != c.want || ok != (c.want != "") {
			t.Errorf("%+v: %q, %v, want %q", c.statement, f.Format, ok, c.want)
		}
	}
}
