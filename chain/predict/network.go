package predict

import (
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
)

// protocol refuses a source on the network whose protocol the libvirt or its QEMU
// does not have. What a distribution leaves out of its QEMU cannot be told from
// here.
func (p *predictor) protocol(src *libvirtxml.DomainDiskSource) error {
	if src.Network == nil {
		return nil
	}
	name := src.Network.Protocol
	missing := map[string]libvirt.Fact{"gluster": libvirt.NoGluster, "sheepdog": libvirt.NoSheepdog, "vxhs": libvirt.NoVxHS}
	if fact, ok := missing[name]; ok && p.does(fact) {
		return p.qemu("QEMU " + p.target.QEMU.String() + " has no driver for " + name + ", by which " + storage.Describe(src) + " is reached")
	}
	if name == "tftp" && p.does(libvirt.RefusesTFTP) {
		return p.commandLine("libvirt starts no guest with " + storage.Describe(src) + ", which is on a tftp server")
	}
	return nil
}

// readsNamespace notes that the libvirt takes another rbd image than the one that the
// XML states.
func (p *predictor) readsNamespace(layer chain.Layer) {
	network := layer.At().Network
	if network != nil && network.Protocol == "rbd" && strings.Count(network.Name, "/") > 1 && !p.does(libvirt.RBDNamespaces) {
		p.misopens("the XML states " + storage.Describe(layer.Source) + p.unknownNamespace())
	}
}

// namesNamespace reports whether a name in a header is that of an rbd image in
// a namespace, whatever else it holds: "rbd:pool/namespace/image" or JSON.
func namesNamespace(name string) bool {
	if text, ok := strings.CutPrefix(name, "json:"); ok {
		return strings.Contains(text, "rbd") && (strings.Contains(text, `"namespace"`) || strings.Contains(text, `.namespace"`) || strings.Count(text, "/") > 1)
	}
	rest, ok := strings.CutPrefix(name, "rbd:")
	rest, _, _ = strings.Cut(rest, ":")
	rest, _, _ = strings.Cut(rest, "@")
	return ok && strings.Count(rest, "/") > 1
}

// keepsNamespace reports whether libvirt takes over the namespace in such a name.
// That of JSON it drops (9.0, 11.3 and 12.9).
func (p *predictor) keepsNamespace(name string) bool {
	return !strings.HasPrefix(name, "json:") && p.does(libvirt.RBDNamespaces)
}

// wrongNamespace is what comes of one that it does not.
func (p *predictor) wrongNamespace(name string) string {
	quoted := strconv.Quote(storage.Printable(name))
	if strings.HasPrefix(name, "json:") {
		return quoted + ": libvirt drops the namespace, and takes the pool's image of that name"
	}
	return quoted + p.unknownNamespace()
}

func (p *predictor) unknownNamespace() string {
	return ", in a namespace that libvirt " + p.target.Libvirt.String() + " takes for a part of the image's name"
}
