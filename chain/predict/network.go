package predict

import (
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
)

// protocol refuses a source on the network with a protocol that the libvirt or
// its QEMU does not support. Drivers that a distribution leaves out of its
// QEMU are not considered.
func (p *predictor) protocol(src *libvirtxml.DomainDiskSource) error {
	if src.Network == nil {
		return nil
	}
	name := src.Network.Protocol
	missing := map[string]libvirt.Fact{"gluster": libvirt.NoGluster, "sheepdog": libvirt.NoSheepdog, "vxhs": libvirt.NoVxHS}
	if fact, ok := missing[name]; ok && p.does(fact) {
		return p.qemu("QEMU " + p.target.QEMU.String() + " has no driver for " + name + ", the protocol of " + storage.Describe(src))
	}
	if name == "tftp" && p.does(libvirt.RefusesTFTP) {
		return p.commandLine("libvirt starts no guest with " + storage.Describe(src) + ", which is on a tftp server")
	}
	return nil
}

// readsNamespace records that the libvirt opens another rbd image than the XML
// states.
func (p *predictor) readsNamespace(layer chain.Layer) {
	network := layer.At().Network
	if network != nil && network.Protocol == "rbd" && strings.Count(network.Name, "/") > 1 && !p.does(libvirt.RBDNamespaces) {
		p.misopens("the XML states " + storage.Describe(layer.Source) + p.unknownNamespace())
	}
}

// namesNamespace reports whether a name in a header refers to an rbd image in
// a namespace: "rbd:pool/namespace/image" or JSON.
func namesNamespace(name string) bool {
	if text, ok := strings.CutPrefix(name, "json:"); ok {
		return strings.Contains(text, "rbd") && (strings.Contains(text, `"namespace"`) || strings.Contains(text, `.namespace"`) || strings.Count(text, "/") > 1)
	}
	rest, ok := strings.CutPrefix(name, "rbd:")
	rest, _, _ = strings.Cut(rest, ":")
	rest, _, _ = strings.Cut(rest, "@")
	return ok && strings.Count(rest, "/") > 1
}

// keepsNamespace reports whether libvirt keeps the namespace in such a name.
// It drops one in JSON (libvirt 9.0, 11.3 and 12.9).
func (p *predictor) keepsNamespace(name string) bool {
	return !strings.HasPrefix(name, "json:") && p.does(libvirt.RBDNamespaces)
}

// wrongNamespace says what libvirt does with a namespace that it does not
// keep.
func (p *predictor) wrongNamespace(name string) string {
	quoted := strconv.Quote(storage.Printable(name))
	if strings.HasPrefix(name, "json:") {
		return quoted + ": libvirt drops the namespace, and opens the image with that name in the pool"
	}
	return quoted + p.unknownNamespace()
}

func (p *predictor) unknownNamespace() string {
	return ", in a namespace that libvirt " + p.target.Libvirt.String() + " reads as a part of the image's name"
}
