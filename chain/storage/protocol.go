package storage

import "strconv"

// Protocol describes a network protocol of libvirt (virStorageNetProtocol, the
// same in libvirt 9.0 and 11.3, as are the ports and transports), or a QEMU
// driver for local storage. The table has the facts about each protocol; code
// parses and writes its names, in the file for each form of names.
type Protocol struct {
	// Name is libvirt's name and, in JSON descriptions and URIs, QEMU's.
	Name string
	// Port is the default port, or 0 (virStorageSourceNetworkDefaultPort).
	Port int
	// Query: the XML can express the query of a URL.
	Query bool
	// Read says how chainfix can read an image.
	Read ReadBy

	// local: a driver for local storage. The XML has a source type for it and no
	// protocol, so most other fields are empty.
	local bool
	// driver: also the name of a QEMU protocol driver, which may be in an
	// overlay's format field.
	driver bool
	// fixedPort: QEMU takes no port.
	fixedPort bool
	// unix and rdma: a server may listen on a unix socket, or be reached by
	// rdma. Every protocol has tcp.
	unix, rdma bool

	// paths: its names are paths, with directories.
	paths bool
	// homes: libvirt drops the first slash of a URI's path and passes QEMU one
	// that is relative to the user's home folder, or to nothing.
	homes bool
	// curl: libvirt passes a URL to QEMU, built from the source.
	curl bool
	// unnamed: the name may be empty.
	unnamed bool
}

// ReadBy is how chainfix can read the images of a protocol.
type ReadBy int

const (
	ReadByNothing ReadBy = iota // it cannot
	ReadByNetwork               // by itself: --network
	ReadByQEMUImg               // by a qemu-img: --network --qemu-img PROGRAM
)

// protocols has all protocols. QEMU has no sheepdog since 6.1 and no vxhs
// since 5.2; libvirt refuses tftp when the guest starts. Their names are
// parsed anyway.
var protocols = []Protocol{
	{Name: "file", local: true, driver: true},
	{Name: "host_device", local: true, driver: true},
	{Name: "host_cdrom", local: true, driver: true},
	{Name: "nvme", local: true, driver: true},

	{Name: "nbd", driver: true, Read: ReadByNetwork, Port: 10809, unix: true, unnamed: true},
	{Name: "http", driver: true, Read: ReadByNetwork, Port: 80, paths: true, curl: true, Query: true},
	{Name: "https", driver: true, Read: ReadByNetwork, Port: 443, paths: true, curl: true, Query: true},

	{Name: "ftp", driver: true, Read: ReadByQEMUImg, Port: 21, paths: true, curl: true},
	{Name: "ftps", driver: true, Read: ReadByQEMUImg, Port: 990, paths: true, curl: true},
	{Name: "ssh", driver: true, Read: ReadByQEMUImg, Port: 22, paths: true, homes: true},
	{Name: "iscsi", driver: true, Read: ReadByQEMUImg, Port: 3260},
	{Name: "rbd", driver: true, Read: ReadByQEMUImg},
	{Name: "gluster", driver: true, Read: ReadByQEMUImg, Port: 24007, unix: true, rdma: true, paths: true},
	{Name: "nfs", driver: true, Read: ReadByQEMUImg, fixedPort: true, paths: true, homes: true},

	{Name: "sheepdog", driver: true, Port: 7000, unix: true},
	{Name: "vxhs", driver: true, Port: 9999},
	{Name: "tftp", Port: 69, paths: true, curl: true},
}

// NetworkProtocol returns the network protocol with this name; the zero
// Protocol if libvirt has none.
func NetworkProtocol(name string) Protocol {
	for _, p := range protocols {
		if p.Name == name && !p.local {
			return p
		}
	}
	return Protocol{}
}

// IsProtocolDriver reports whether name is one of QEMU's protocol drivers.
// With such a name in the overlay's format field QEMU opens the backing image
// without a format driver, which means raw.
func IsProtocolDriver(name string) bool {
	for _, p := range protocols {
		if p.Name == name {
			return p.driver
		}
	}
	return false
}

// DefaultPort returns Port as a string, or "" if it is 0.
func (p Protocol) DefaultPort() string {
	if p.Port == 0 {
		return ""
	}
	return strconv.Itoa(p.Port)
}
