package chain

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/testdata/peers"
)

// targetTests are disks whose source says something that some libvirt does not
// understand.
var targetTests = []struct {
	disk    string // type and content of the <source>, cut at the first space
	what    string // "" if every libvirt with explicit chains understands it
	since   string
	unasked bool // libvirt's parser keeps it in any case: what fails is QEMU
	// declined is how libvirt's test driver says that it has read it.
	declined string
}{
	{disk: "file <source file='/x'/>"},
	{disk: "block <source dev='/dev/x'/>"},
	{disk: "network <source protocol='nbd' name='x'><host name='h' port='10809'/></source>"},
	{disk: "network <source protocol='rbd' name='pool/image'><host name='h'/></source>"},
	{disk: "network <source protocol='ssh' name='x'><host name='h' port='22'/></source>"},
	{disk: "network <source protocol='iscsi' name='x/0'><host name='h'/><initiator><iqn name='iqn.x'/></initiator></source>"},
	{disk: "volume <source pool='p' volume='v'/>"},
	{disk: "file <source file='/x'><slices><slice type='storage' offset='0' size='512'/></slices></source>", what: "a slice", since: "6.1"},
	{disk: "network <source protocol='https' name='x' query='a=b'><host name='h'/></source>", what: "the query of a URI", since: "6.2"},
	{disk: "network <source protocol='https' name='x'><host name='h'/><ssl verify='no'/></source>", what: "<ssl>", since: "6.2"},
	{disk: "network <source protocol='https' name='x'><host name='h'/><cookies><cookie name='a'>b</cookie></cookies></source>", what: "<cookies>", since: "6.2"},
	{disk: "network <source protocol='https' name='x'><host name='h'/><readahead size='4096'/></source>", what: "<readahead>", since: "6.2"},
	{disk: "network <source protocol='https' name='x'><host name='h'/><timeout seconds='5'/></source>", what: "<timeout>", since: "6.2"},
	{disk: "network <source protocol='nfs' name='x'><host name='h'/><identity user='+1' group='+1'/></source>", what: "a source of protocol nfs", since: "7.0"},
	{disk: "network <source protocol='rbd' name='pool/image'><host name='h'/><encryption format='luks' engine='librbd'><secret type='passphrase' usage='u'/></encryption></source>", what: "the encryption engine librbd", since: "7.9"},
	{disk: "network <source protocol='nbd' name='x' tls='yes' tlsHostname='t'><host name='h'/></source>", what: "tlsHostname", since: "8.2"},
	{disk: "file <source file='/x' fdgroup='g'/>", what: "a group of file descriptors", since: "9.0", declined: "driver does not support FD passing"},
	{disk: "network <source protocol='nbd' name='x'><host name='h'/><reconnect delay='5'/></source>", what: "<reconnect delay>", since: "9.2"},
	{disk: "network <source protocol='rbd' name='pool/image'><host name='h'/><encryption format='luks-any'><secret type='passphrase' usage='u'/></encryption></source>", what: "the encryption format luks-any", since: "9.3"},
	{disk: "network <source protocol='ssh' name='x'><host name='h'/><knownHosts path='/k'/></source>", what: "<knownHosts>", since: "9.8"},
	{disk: "network <source protocol='ssh' name='x'><host name='h'/><identity username='u' keyfile='/k'/></source>", what: "the <identity> of an ssh user", since: "9.8"},
	{disk: "file <source file='/x'><dataStore type='file'><format type='raw'/><source file='/y'/></dataStore></source>", what: "<dataStore>", since: "10.10"},
	{disk: "network <source protocol='rbd' name='pool/namespace/image'><host name='h'/></source>", what: "an rbd namespace", since: "11.6", unasked: true},
}

// targetDisk returns a <disk> of a test.
func targetDisk(kindAndSource string) string {
	kind, source, _ := strings.Cut(kindAndSource, " ")
	return fmt.Sprintf("<disk type='%s' device='disk'><driver name='qemu' type='qcow2'/>%s<target dev='vda' bus='virtio'/></disk>", kind, source)
}

func statedSource(t *testing.T, disk string) *libvirtxml.DomainDiskSource {
	t.Helper()
	var d libvirtxml.DomainDisk
	if err := d.Unmarshal(disk); err != nil {
		t.Fatal(err)
	}
	return d.Source
}

// oldest is the first libvirt with explicit chains.
var oldest = libvirt.Version{Major: 5, Minor: 10}

func whats(needs []requirement) []string {
	var all []string
	for _, n := range needs {
		all = append(all, fmt.Sprintf("%d %s", n.layer, n.what))
	}
	return all
}

func TestUnsupportedSources(t *testing.T) {
	for _, tt := range targetTests {
		t.Run(tt.disk, func(t *testing.T) {
			layers := []Layer{{Source: statedSource(t, targetDisk(tt.disk)), Format: probe.Qcow2}}
			got := unsupported(layers, oldest)
			if tt.what == "" {
				if len(got) != 0 {
					t.Errorf("5.10 does not understand: %v", got)
				}
				return
			}
			since, err := libvirt.ParseVersion(tt.since)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != 1 || got[0].what != tt.what || got[0].since != since || got[0].layer != 0 {
				t.Fatalf("5.10 does not understand: %v", got)
			}
			if want := tt.what + " needs libvirt " + tt.since + ".0 or newer"; got[0].String() != want {
				t.Errorf("%q, want %q", got[0], want)
			}
			if got := unsupported(layers, since); len(got) != 0 {
				t.Errorf("%s does not understand: %v", since, got)
			}
			before := libvirt.Version{Major: since.Major, Minor: since.Minor - 1, Release: 9}
			if since.Minor == 0 {
				before = libvirt.Version{Major: since.Major - 1, Minor: 99}
			}
			if got := unsupported(layers, before); len(got) != 1 {
				t.Errorf("%s does not understand: %v", before, got)
			}
			if got := unsupported(layers, libvirt.Version{}); (len(got) == 0) != (tt.since == "6.1") {
				t.Errorf("an unknown one may not understand: %v", got)
			}
		})
	}
}

// TestUnsupportedAsLibvirt has the installed libvirt read the same sources: it
// keeps what its version is said to understand, and drops or refuses the rest.
func TestUnsupportedAsLibvirt(t *testing.T) {
	peers.Require(t, "virsh")
	out, err := exec.Command("virsh", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	installed, err := libvirt.ParseVersion(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range targetTests {
		if tt.what == "" || tt.unasked {
			continue
		}
		t.Run(tt.what, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "domain.xml")
			if err := os.WriteFile(file, []byte("<domain type='test'><name>vm</name><memory>1</memory><os><type>hvm</type></os><devices>"+
				targetDisk(tt.disk)+"</devices></domain>"), 0o600); err != nil {
				t.Fatal(err)
			}
			report, err := exec.Command("virsh", "-q", "-c", "test:///default", "define "+file+"; dumpxml --security-info vm").CombinedOutput()
			kept := tt.declined != "" && strings.Contains(string(report), tt.declined)
			if err == nil {
				var d libvirtxml.Domain
				if err := d.Unmarshal(string(report[strings.Index(string(report), "<domain"):])); err != nil {
					t.Fatal(err)
				}
				read := unsupported([]Layer{{Source: d.Devices.Disks[0].Source, Format: probe.Qcow2}}, oldest)
				kept = slices.ContainsFunc(read, func(r requirement) bool { return r.what == tt.what })
			}
			needs := unsupported([]Layer{{Source: statedSource(t, targetDisk(tt.disk)), Format: probe.Qcow2}}, installed)
			if understood := len(needs) == 0; understood != kept {
				t.Errorf("libvirt %s keeps it: %v; understood: %v\n%s", installed, kept, understood, report)
			}
		})
	}
}

func TestUnsupportedChains(t *testing.T) {
	file := Layer{Source: storage.LocalSource("/x", false), Format: probe.Qcow2}
	raw := Layer{Source: storage.LocalSource("/x", false), Format: probe.Raw}
	volume := Layer{Source: &libvirtxml.DomainDiskSource{Volume: &libvirtxml.DomainDiskSourceVolume{Pool: "p", Volume: "v"}}, Format: probe.Raw}
	stored := Layer{Source: &libvirtxml.DomainDiskSource{
		File: &libvirtxml.DomainDiskSourceFile{File: "/x"},
		DataStore: &libvirtxml.DomainDiskDataStore{
			Source: &libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{Protocol: "nfs"}},
		},
	}, Format: probe.Qcow2}
	for _, tt := range []struct {
		name   string
		layers []Layer
		target string // "" is unknown
		want   []string
	}{
		{"no layers", nil, "5.9", nil},
		{"raw alone", []Layer{raw}, "5.9", nil},
		{"a chain", []Layer{file, raw}, "5.9", []string{"-1 an explicit chain"}},
		{"the end of a chain", []Layer{file}, "5.9.9", []string{"-1 an explicit chain"}},
		{"a chain, 5.10", []Layer{file, raw}, "5.10", nil},
		{"a chain, unknown", []Layer{file, raw}, "", nil},
		{"a volume below", []Layer{file, volume}, "6.0", []string{"1 a volume as a backing image"}},
		{"a volume below, 6.1", []Layer{file, volume}, "6.1", nil},
		{"a volume below, unknown", []Layer{file, volume}, "", nil},
		{"a volume on top", []Layer{volume}, "5.10", nil},
		{"within a data store", []Layer{file, stored}, "6.9", []string{"1 <dataStore>", "1 a source of protocol nfs"}},
		{"within a data store, 9.0", []Layer{file, stored}, "9.0", []string{"1 <dataStore>"}},
		{"without a source", []Layer{file, {}}, "5.10", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var target libvirt.Version
			if tt.target != "" {
				var err error
				if target, err = libvirt.ParseVersion(tt.target); err != nil {
					t.Fatal(err)
				}
			}
			got := unsupported(tt.layers, target)
			if !slices.Equal(whats(got), tt.want) {
				t.Errorf("%q, want %q", whats(got), tt.want)
			}
		})
	}
}
