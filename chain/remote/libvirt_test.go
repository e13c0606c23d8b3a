package remote

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/testdata/peers"
)

// parse reads a <source> as the source of a disk of type network.
func parse(t *testing.T, text string) *libvirtxml.DomainDiskSource {
	t.Helper()
	var disk libvirtxml.DomainDisk
	if err := xml.Unmarshal([]byte("<disk type='network'>"+text+"</disk>"), &disk); err != nil {
		t.Fatal(err)
	}
	return disk.Source
}

// The place that is read is the one that libvirt would have QEMU read.
func TestPlacesAreLibvirts(t *testing.T) {
	l := peers.StartLibvirt(t)
	for _, test := range []struct {
		source string
		// differs says why libvirt's answer and this package's are not compared.
		differs string
	}{
		{source: `<source protocol='http' name='d/a b%?#.img'><host name='h' port='80'/></source>`},
		{source: `<source protocol='http' name='/d/a' query='x=1&amp;y=%20'><host name='h' port='8080'/></source>`},
		{source: `<source protocol='https' name='d'><host name='::1'/><ssl verify='no'/><timeout seconds='3'/><readahead size='512'/></source>`},
		{source: `<source protocol='https' name=''><host name='h'/></source>`},
		{source: `<source protocol='ftp' name='d/a b%.img' query='x'><host name='h'/></source>`},
		{source: `<source protocol='ftp' name='/d/a'><host name='::1' port='2121'/></source>`},
		{source: `<source protocol='ftps' name='d/a'><host name='h' port='990'/><ssl verify='no'/></source>`},
		{source: `<source protocol='ftps' name='d/a'><host name='h'/><ssl verify='yes'/></source>`, differs: "sslverify is true without saying so"},
		{source: `<source protocol='ssh' name='/abs/a b.img'><host name='h'/></source>`},
		{source: `<source protocol='ssh' name='rel/a'><host name='h' port='2222'/></source>`},
		{source: `<source protocol='iscsi' name='iqn.2013-07.com.example:disk/1'><host name='h' port='3260'/></source>`},
		{source: `<source protocol='iscsi' name='iqn.2013-07.com.example:disk'><host name='::1'/><initiator><iqn name='iqn.x'/></initiator></source>`},
		{source: `<source protocol='rbd' name='p/i'><host name='h' port='6789'/><host name='i'/><snapshot name='s'/><config file='/c'/></source>`},
		{source: `<source protocol='rbd' name='p/i'/>`},
		{source: `<source protocol='gluster' name='v/p/a.img'><host name='h' port='24008'/><host transport='unix' socket='/s'/><host name='i'/></source>`},
		{source: `<source protocol='nfs' name='/e/a.img'><host name='h'/><identity user='+2' group='+9'/></source>`},
	} {
		src := parse(t, test.source)
		options, err := l.NativeBlockdevs(domain(test.source))
		if err != nil || len(options) == 0 {
			t.Errorf("%s: %v", test.source, err)
			continue
		}
		var want, got map[string]any
		if err := json.Unmarshal([]byte(options[0]), &want); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"node-name", "auto-read-only", "discard", "timeout", "readahead", "debug"} {
			delete(want, key)
		}
		node, err := placed(src)
		if err != nil {
			t.Errorf("%s: %v", test.source, err)
			continue
		}
		b, err := json.Marshal(node)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		diff := cmp.Diff(want, got)
		if (diff == "") != (test.differs == "") {
			t.Errorf("%s (-libvirt +here):\n%s", test.source, diff)
		}
	}
}

// placed is where a source is read, in the form of QEMU's options.
func placed(src *libvirtxml.DomainDiskSource) (map[string]any, error) {
	if p := src.Network.Protocol; p != "http" && p != "https" {
		return blockdev(src)
	}
	request, err := newRequest(src)
	if err != nil {
		return nil, err
	}
	node := map[string]any{"driver": src.Network.Protocol, "url": request.URL.String()}
	if tlsConfig(src, nil).InsecureSkipVerify {
		node["sslverify"] = false
	}
	return node, nil
}

func domain(source string) string {
	return fmt.Sprintf(`<domain type='qemu'>
  <name>places</name>
  <memory unit='MiB'>16</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <disk type='network' device='disk'>
      <driver name='qemu' type='raw'/>
      %s
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>`, source)
}

// What is refused before anything is contacted. A source that libvirt refuses
// too says so.
func TestRefusedPlaces(t *testing.T) {
	l := peers.StartLibvirt(t)
	for _, test := range []struct {
		source, says string
		libvirt      bool // refuses it as well
	}{
		{`<source protocol='http' name='x'><host name='h'/><host name='i'/></source>`, "exactly one host", true},
		{`<source protocol='nbd' name='x'><host name='h'/><host name='i'/></source>`, "exactly one host", true},
		{`<source protocol='ftp' name='x'><host name='h'/><host name='i'/></source>`, "exactly one host", true},
		{`<source protocol='ssh' name='x'><host name='h'/><host name='i'/></source>`, "exactly one host", true},
		{`<source protocol='iscsi' name='x'><host name='h'/><host name='i'/></source>`, "exactly one host", false},
		{`<source protocol='nfs' name='/x'><host name='h'/><host name='i'/><identity user='1' group='1'/></source>`, "exactly one host", true},
		{`<source protocol='http' name='x'/>`, "exactly one host", true},
		{`<source protocol='gluster' name='v/x'/>`, "no host", false},
		{`<source protocol='gluster' name='v'><host name='h'/></source>`, "not a volume and a path", true},
		{`<source protocol='rbd' name='i'/>`, "not a pool and an image", true},
		{`<source protocol='rbd' name='p/n/i'/>`, "namespace", false},
		{`<source protocol='http' name='x'><host transport='unix' socket='/s'/></source>`, `transport "unix"`, false},
		{`<source protocol='nbd' name='x'><host transport='rdma' name='h'/></source>`, `transport "rdma"`, true},
		{`<source protocol='nbd' name='x'><host transport='unix' socket='s'/></source>`, "not an absolute path", false},
		{`<source protocol='nbd' name='x'><host name='a@b'/></source>`, "not a host", false},
		{`<source protocol='http' name='x'><host name='h/x?'/></source>`, "not a host", false},
		{`<source protocol='http' name='x'><host name='h' port='http'/></source>`, "is not a port", true},
		{`<source protocol='http' name='x' query='a b'><host name='h'/></source>`, "not encoded", false},
		{`<source protocol='iscsi' name='x/y'><host name='h'/></source>`, "not a unit", true},
		{`<source protocol='tftp' name='x'><host name='h'/></source>`, "not a protocol that QEMU reads", true},
		{`<source protocol='vxhs' name='x'><host name='h'/></source>`, "not a protocol that QEMU reads", true},
		{`<source protocol='nbd' tls='yes'><host name='h'/></source>`, "TLS", false},
		{`<source protocol='https' name='x'><host name='h'/><timeout seconds='x'/></source>`, "<timeout>", true},
		{`<source protocol='iscsi' name='x'><host name='h'/><auth username='user'><secret type='iscsi' usage='x'/></auth></source>`, "secret", false},
		{`<source protocol='ssh' name='x'><host name='h'/><identity keyfile='/k'/></source>`, "nbdkit", false},
		{`<source protocol='nfs' name='/x'><host name='h'/><identity user='root' group='+0'/></source>`, `"root"`, false},
	} {
		src := parse(t, test.source)
		img, err := (&Opener{QemuImg: "/absent/qemu-img"}).Open(t.Context(), src)
		if img != nil || err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", test.source, err, test.says)
		}
		if !test.libvirt {
			continue
		}
		if options, err := l.NativeBlockdevs(domain(test.source)); err == nil {
			t.Errorf("libvirt takes %s: %q", test.source, options)
		}
	}
}
