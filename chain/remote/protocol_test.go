package remote

import (
	"errors"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/storage"
)

// The table of protocols says by what an image is read, and so does the code
// that reads it: without a qemu-img what is read by one is not read, and with one
// what is read by nothing.
func TestReadAsTheTableSays(t *testing.T) {
	for _, name := range []string{"nbd", "http", "https", "ftp", "ftps", "tftp", "ssh", "iscsi", "rbd", "gluster", "nfs", "sheepdog", "vxhs", "nvme", ""} {
		src := &libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{
			Protocol: name, Name: "a/0", Hosts: []libvirtxml.DomainDiskSourceHost{{Name: "h"}},
		}}
		got := storage.ReadByNothing
		for _, by := range []struct {
			read   storage.ReadBy
			opener Opener
		}{{storage.ReadByQEMUImg, Opener{QemuImg: "qemu-img"}}, {storage.ReadByNetwork, Opener{}}} {
			_, err := by.opener.way(src)
			if err == nil {
				got = by.read
			} else if !errors.Is(err, storage.ErrNotReadable) {
				t.Errorf("%q: %v", name, err)
			}
		}
		if want := storage.NetworkProtocol(name).Read; got != want {
			t.Errorf("%q is read by %d, the table says %d", name, got, want)
		}
	}
}
