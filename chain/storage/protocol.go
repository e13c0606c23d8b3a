package storage

import "strconv"

// Protocol is all that is known of a way to reach storage: of a network
// protocol of libvirt's (virStorageNetProtocol, the same in libvirt 9.0 and 11.3,
// as are the ports and transports), or of one of QEMU's drivers for what is on
// the host. What depends on the protocol's name alone is in its row; how its
// names are read and written is code, in the file of the form that they have.
type Protocol struct {
	// Name is libvirt's and, in JSON descriptions and URIs, QEMU's.
	Name string
	// Port is the default port, 0 if there is none
	// (virStorageSourceNetworkDefaultPort).
	Port int
	// Query: the XML can say the query of a URL.
	Query bool
	// Read says how chainfix can read an image.
	Read ReadBy

	// local: it reaches what is on the host. The XML has a type of source for
	// it and no protocol, so that most of the rest is empty.
	local bool
	// driver: it is also the name of one of QEMU's protocol drivers, so that an
	// overlay's format field may hold it.
	driver bool
	// fixedPort: QEMU takes no port.
	fixedPort bool
	// unix and rdma: a server may listen on a unix socket, or be reached by
	// rdma. Every protocol has tcp.
	unix, rdma bool

	// paths: its names are paths, so that they have directories.
	paths bool
	// homes: libvirt drops the first slash of a URI's path, and hands QEMU one
	// that starts in the user's home, or nowhere.
	homes bool
	// curl: QEMU is handed a URL, which libvirt puts together again.
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

// protocols has a row for each. QEMU has no sheepdog since 6.1 and no vxhs since
// 5.2; libvirt refuses tftp when the guest starts. Their names are read all the
// same.
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

// NetworkProtocol returns what is known of the protocol of a source on the
// network: the zero Protocol if libvirt has none of that name.
func NetworkProtocol(name string) Protocol {
	for _, p := range protocols {
		if p.Name == name && !p.local {
			return p
		}
	}
	return Protocol{}
}

// IsProtocolDriver reports whether name is one of QEMU's protocol drivers. An
// overlay's format field that holds one makes QEMU use the backing image without
// a format, which is raw.
func IsProtocolDriver(name string) bool {
	for _, p := range protocols {
		if p.Name == name {
			return p.driver
		}
	}
	return false
}

// DefaultPort returns Port as it stands in an address; "" if there is none.
func (p Protocol) DefaultPort() string {
	if p.Port == 0 {
		return ""
	}
	return strconv.Itoa(p.Port)
}
