package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// These are Debian's, whatever else there is: they run with the Python that the modules
// are run with.
const (
	ansiblePlaybook = "/usr/bin/ansible-playbook"
	ansibleGalaxy   = "/usr/bin/ansible-galaxy"
)

// rolePassword is in every definition of the role's test, and nowhere else.
const (
	rolePassword = "s3cr3t"
	withPassword = "<graphics type='vnc' port='-1' passwd='" + rolePassword + "'/>"
)

// guestWithDisk is the definition of a small guest with one disk, and with the
// devices that are given in XML.
func guestWithDisk(name, format, image string, devices ...string) string {
	return peers.SmallGuest(name, fmt.Sprintf(`<disk type='file' device='disk'>
      <driver name='qemu' type='%s' cache='none'/>
      <source file='%s'/>
      <target dev='vda' bus='virtio'/>
    </disk>`, format, image), devices...)
}

// newOverlay makes a qcow2 image that names its backing image, and records its
// format if one is given.
func newOverlay(t *testing.T, l *peers.Libvirt, name, backing, format string) string {
	t.Helper()
	data, err := mkimage.Qcow2{VirtualSize: demoSize, Backing: backing, BackingFormat: format}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return newImage(t, l, name, data)
}

// newRaw makes a raw image.
func newRaw(t *testing.T, l *peers.Libvirt, name string) string {
	t.Helper()
	return newImage(t, l, name, make([]byte, 64<<10))
}

func newImage(t *testing.T, l *peers.Libvirt, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(l.Images, name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	l.Share(l.Images)
	return path
}

// virshDefinitions returns those of all guests, with their secrets.
func virshDefinitions(l *peers.Libvirt) map[string]string {
	all := make(map[string]string)
	for name := range strings.Lines(l.Virsh("list", "--all", "--name")) {
		if name = strings.TrimSpace(name); name != "" {
			all[name] = l.Virsh("dumpxml", "--inactive", "--security-info", name)
		}
	}
	return all
}

// hypervisors is an inventory of Ansible's, in its own folder.
type hypervisors struct {
	t         *testing.T
	dir       string
	program   string
	inventory map[string]map[string]any // the variables of each host
	apart     []string                  // what ansible-playbook is started by, if anything
}

// newHypervisors makes an inventory of hosts, each with its own libvirt. All of
// them are this machine.
func newHypervisors(t *testing.T, daemons map[string]*peers.Libvirt) *hypervisors {
	program := builtProgram(t)
	h := &hypervisors{t: t, dir: t.TempDir(), program: program, inventory: make(map[string]map[string]any)}
	for name, l := range daemons {
		h.inventory[name] = map[string]any{
			"ansible_connection": "local", "ansible_become": false, "ansible_python_interpreter": "/usr/bin/python3",
			"chainfix_program": program, "chainfix_connect": l.URI(), "chainfix_state_dir": h.stateDir(name),
			"chainfix_report": h.path("report.json"), "chainfix_targets": []string{"9.0.0", "11.3.0"},
		}
	}
	h.installCollection()
	return h
}

// installCollection installs the collection as people do, without a network.
func (h *hypervisors) installCollection() {
	h.t.Helper()
	h.galaxy("build", "--output-path", h.dir, "../../docs/ansible")
	built, err := filepath.Glob(h.path("chainfix-chainfix-*.tar.gz"))
	if err != nil || len(built) != 1 {
		h.t.Fatalf("built: %q, %v", built, err)
	}
	h.galaxy("install", "--offline", "--collections-path", h.path("collections"), built[0])
}

func (h *hypervisors) galaxy(args ...string) {
	h.t.Helper()
	cmd := exec.Command(ansibleGalaxy, append([]string{"collection"}, args...)...)
	cmd.Env = h.environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("%q: %v\n%s", cmd.Args, err, out)
	}
}

// environment is that of Ansible's programs, which then leave nothing elsewhere.
func (h *hypervisors) environment() []string {
	return append(os.Environ(), "HOME="+h.dir, "LC_ALL=C.UTF-8", "ANSIBLE_NOCOLOR=1", "ANSIBLE_CONFIG="+h.path("ansible.cfg"),
		"ANSIBLE_REMOTE_TEMP="+h.path("tmp"), "ANSIBLE_PIPELINING=1", "ANSIBLE_COLLECTIONS_PATH="+h.path("collections"))
}

func (h *hypervisors) path(name string) string { return filepath.Join(h.dir, name) }

func (h *hypervisors) stateDir(host string) string { return h.path("state-" + host) }

// counts are the relevant numbers of a line in the play recap.
type counts struct{ changed, unreachable, failed int }

// play runs a playbook of the collection, and returns what it prints and the recap.
func (h *hypervisors) play(playbook string, args ...string) (string, map[string]counts) {
	h.t.Helper()
	// A JSON document is a YAML document.
	inventory, err := json.Marshal(map[string]any{"hypervisors": map[string]any{"hosts": h.inventory}})
	if err != nil {
		h.t.Fatal(err)
	}
	for name, content := range map[string][]byte{"inventory.yml": inventory, "ansible.cfg": nil} {
		if err := os.WriteFile(h.path(name), content, 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
	words := slices.Concat(h.apart, []string{ansiblePlaybook, "-i", h.path("inventory.yml"), "chainfix.chainfix." + playbook}, args)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir = h.dir
	cmd.Env = append(h.environment(), "PWD="+h.dir)
	out, runErr := cmd.CombinedOutput()
	recap := make(map[string]counts)
	line := regexp.MustCompile(`(?m)^(\S+) +: ok=\d+ +changed=(\d+) +unreachable=(\d+) +failed=(\d+) `)
	failed := false
	for _, found := range line.FindAllStringSubmatch(string(out), -1) {
		var n [3]int
		for i := range n {
			if n[i], err = strconv.Atoi(found[2+i]); err != nil {
				h.t.Fatal(err)
			}
		}
		recap[found[1]] = counts{n[0], n[1], n[2]}
		failed = failed || n[1]+n[2] > 0
	}
	if len(recap) == 0 || failed != (runErr != nil) {
		h.t.Fatalf("%q: %v\n%s", cmd.Args, runErr, out)
	}
	if strings.Contains(string(out), rolePassword) {
		h.t.Errorf("%q prints a password:\n%s", cmd.Args, out)
	}
	h.t.Logf("%q: %v", args, recap)
	return string(out), recap
}

// fleetReport is the report on the controller, as far as it matters here.
type fleetReport struct {
	Check bool
	Hosts map[string]struct {
		Error string
		Run   string
		Left  []string

		Changed     []string
		WouldChange []string `json:"would_change"`

		Scan *struct {
			Schema string
			Guests []report.Guest
		}
	}
}

func (h *hypervisors) report() (fleetReport, string) {
	h.t.Helper()
	data, err := os.ReadFile(h.path("report.json"))
	if err != nil {
		h.t.Fatal(err)
	}
	table, err := os.ReadFile(h.path("report.txt"))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, text := range []string{string(data), string(table)} {
		if strings.Contains(text, rolePassword) {
			h.t.Errorf("a password is in the report:\n%s", text)
		}
	}
	var r fleetReport
	if err := json.Unmarshal(data, &r); err != nil {
		h.t.Fatalf("%v\n%s", err, data)
	}
	if err := validateDocument(h.t, data); err != nil {
		h.t.Error(err)
	}
	return r, string(table)
}

// pageHas demands that the page on the controller has some texts.
func (h *hypervisors) pageHas(texts ...string) {
	h.t.Helper()
	page, err := os.ReadFile(h.path("report.html"))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, text := range texts {
		if !strings.Contains(string(page), text) {
			h.t.Errorf("the page has no %q", text)
		}
	}
	if strings.Contains(string(page), rolePassword) {
		h.t.Error("a password is on the page")
	}
}

// verdicts are those of the guests of a host in the report.
func (r fleetReport) verdicts(host string) map[string]string {
	all := make(map[string]string)
	if scan := r.Hosts[host].Scan; scan != nil {
		for _, guest := range scan.Guests {
			all[guest.Name] = guest.Verdict
		}
	}
	return all
}

// smallPackage makes a package that has no more than the program, by another name.
func (h *hypervisors) smallPackage() string {
	h.t.Helper()
	peers.Require(h.t, "dpkg-deb")
	for name, content := range map[string]string{
		"DEBIAN/control":   "Package: chainfix\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: a test\n",
		"usr/bin/chainfix": "#!/bin/sh\nexec " + h.program + " \"$@\"\n",
	} {
		path := h.path("tree/" + name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o755)); err != nil {
			h.t.Fatal(err)
		}
	}
	file := h.path("chainfix-test_1.0_all.deb")
	if out, err := exec.Command("dpkg-deb", "--root-owner-group", "-Znone", "--build", h.path("tree"), file).CombinedOutput(); err != nil {
		h.t.Fatalf("%v\n%s", err, out)
	}
	return file
}

// onCopies returns the words that start a command which sees copies of the folders that a
// package is installed in. What it writes there the next such command finds.
func onCopies(t *testing.T) []string {
	t.Helper()
	if os.Getuid() != 0 {
		peers.Lacking(t, "to install a package takes root")
	}
	const mounts = `set -e
for dir in usr var etc; do
	mkdir -p "$0/$dir/upper" "$0/$dir/work"
	mount -t overlay overlay -o "lowerdir=/$dir,upperdir=$0/$dir/upper,workdir=$0/$dir/work" "/$dir"
done
# To read what can be had from elsewhere takes apt seconds.
mount -t tmpfs none /var/lib/apt/lists
mkdir /var/lib/apt/lists/partial
exec "$@"`
	// An overlay cannot be above another one, which /tmp may be.
	dir, err := os.MkdirTemp("/dev/shm", "chainfix-")
	if err != nil {
		peers.Lacking(t, err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	words := []string{"unshare", "--mount", "--propagation", "private", "sh", "-c", mounts, dir}
	if out, err := exec.Command(words[0], append(words[1:], "true")...).CombinedOutput(); err != nil {
		peers.Lacking(t, fmt.Errorf("overlays: %w: %s", err, out))
	}
	return words
}
