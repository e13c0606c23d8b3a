package main

import (
	"encoding/json"
	"fmt"
	"html/template"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// ansiblePlaybook is Debian's, even if others are installed: it runs with the
// same Python as the modules.
const ansiblePlaybook = "/usr/bin/ansible-playbook"

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
	return h
}

func (h *hypervisors) path(name string) string { return filepath.Join(h.dir, name) }

func (h *hypervisors) stateDir(host string) string { return h.path("state-" + host) }

// counts are the relevant numbers of a line in the play recap.
type counts struct{ changed, unreachable, failed int }

// play runs a playbook of the documentation, and returns what it prints and the
// recap.
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
	cmd := exec.Command(ansiblePlaybook, append([]string{"-i", h.path("inventory.yml"), playbook}, args...)...)
	cmd.Dir = "../../docs/ansible"
	cmd.Env = append(os.Environ(), "HOME="+h.dir, "LC_ALL=C.UTF-8", "ANSIBLE_NOCOLOR=1", "ANSIBLE_CONFIG="+h.path("ansible.cfg"), "ANSIBLE_REMOTE_TEMP="+h.path("tmp"), "ANSIBLE_PIPELINING=1")
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

// TestRole: the Ansible role of the documentation, by the real
// ansible-playbook, over hosts that each have their own libvirt.
func TestRole(t *testing.T) {
	t.Parallel()
	peers.Require(t, ansiblePlaybook)
	const hostile = "{{ 7 * 7 }} ü" // to a template an expression
	mixed, done, stuck := peers.StartLibvirt(t), peers.StartLibvirt(t), peers.StartLibvirt(t)
	newRaw(t, mixed, "base.img")
	middle := newOverlay(t, mixed, "middle.img", "base.img", "raw")
	mixed.Define(guestWithDisk("web", "qcow2", newOverlay(t, mixed, "web.qcow2", "base.img", ""), withPassword))
	mixed.Define(guestWithDisk(hostile, "qcow2", newOverlay(t, mixed, "hostile.qcow2", "base.img", ""), withPassword))
	mixed.Define(guestWithDisk("shop", "qcow2", newOverlay(t, mixed, "shop.qcow2", "middle.img", ""), withPassword))
	mixed.Define(guestWithDisk("plain", "raw", newRaw(t, mixed, "plain.img"), withPassword))
	done.Define(guestWithDisk("plain", "raw", newRaw(t, done, "plain.img"), withPassword))
	newRaw(t, stuck, "base.img")
	stuck.Define(guestWithDisk("web", "qcow2", newOverlay(t, stuck, "web.qcow2", "base.img", ""), withPassword))

	daemons := map[string]*peers.Libvirt{"mixed": mixed, "done": done, "stuck": stuck}
	h := newHypervisors(t, daemons)
	// The old definition of this one cannot be kept.
	if err := os.WriteFile(h.stateDir("stuck"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	original := make(map[string]map[string]string)
	for name, l := range daemons {
		original[name] = virshDefinitions(l)
	}
	unchanged := func(t *testing.T, hosts ...string) {
		t.Helper()
		for _, name := range hosts {
			if diff := cmp.Diff(original[name], virshDefinitions(daemons[name])); diff != "" {
				t.Errorf("%s was changed:\n%s", name, diff)
			}
		}
	}
	recapIs := func(t *testing.T, got, want map[string]counts) {
		t.Helper()
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(counts{})); diff != "" {
			t.Errorf("recap (-want):\n%s", diff)
		}
	}
	step := func(name string, f func(t *testing.T)) {
		t.Helper()
		if !t.Run(name, func(t *testing.T) { h.t = t; f(t) }) {
			t.FailNow() // each goes on from the one before
		}
	}
	allOf := func(c counts) map[string]counts { return map[string]counts{"mixed": c, "done": c, "stuck": c} }
	asFound := map[string]string{"web": "fixable", hostile: "fixable", "shop": "refused", "plain": "explicit"}

	step("scan", func(t *testing.T) {
		_, recap := h.play("chainfix.yml", "--diff", "-e", "chainfix_page_program="+h.program)
		recapIs(t, recap, allOf(counts{}))
		unchanged(t, "mixed", "done", "stuck")
		h.pageHas("Backing chains of 3 hosts", `<a href="#h2-host"><bdi>mixed</bdi></a>`, template.HTMLEscapeString(middle), "<bdi>&#34;"+hostile+"&#34;</bdi>")
		r, table := h.report()
		if diff := cmp.Diff(asFound, r.verdicts("mixed")); diff != "" {
			t.Error(diff)
		}
		for name, host := range r.Hosts {
			if host.Error != "" || host.Run != "" || len(host.Changed)+len(host.WouldChange)+len(host.Left) > 0 || host.Scan.Schema != report.HostSchema {
				t.Errorf("%s: %+v", name, host)
			}
		}
		for _, guest := range r.Hosts["mixed"].Scan.Guests {
			outcome := map[string]string{"shop": "refuses"}[guest.Name]
			if outcome == "" {
				outcome = "starts"
			}
			if diff := cmp.Diff(map[string]string{"9.0.0": outcome, "11.3.0": outcome}, guest.Disks[0].Prediction); diff != "" {
				t.Errorf("%q:\n%s", guest.Name, diff)
			}
		}
		const want = `        guests explicit  fixable  refused  changed
done         1        1        0        0        0
      as they are, libvirt 11.3.0 refuses 0 and opens something wrong for 0
      as they are, libvirt 9.0.0 refuses 0 and opens something wrong for 0
mixed        4        1        2        1        0
      as they are, libvirt 11.3.0 refuses 1 and opens something wrong for 0
      as they are, libvirt 9.0.0 refuses 1 and opens something wrong for 0
      "shop" is refused: probed-backing
stuck        1        0        1        0        0
      as they are, libvirt 11.3.0 refuses 0 and opens something wrong for 0
      as they are, libvirt 9.0.0 refuses 0 and opens something wrong for 0
`
		if diff := cmp.Diff(want, table); diff != "" {
			t.Error(diff)
		}
	})
	step("refused guests fail where that is asked for", func(t *testing.T) {
		_, recap := h.play("chainfix.yml", "-e", "chainfix_fail_on_refused=true")
		want := allOf(counts{})
		want["mixed"] = counts{failed: 1}
		recapIs(t, recap, want)
	})
	step("check mode", func(t *testing.T) {
		out, recap := h.play("chainfix.yml", "-e", "chainfix_apply=true", "--check", "-vvv")
		want := allOf(counts{changed: 1})
		want["done"] = counts{}
		recapIs(t, recap, want)
		unchanged(t, "mixed", "done", "stuck")
		if strings.Contains(out, "<backingStore") {
			t.Errorf("unwanted diff:\n%s", out)
		}
		if _, err := os.Lstat(h.stateDir("mixed")); !os.IsNotExist(err) {
			t.Errorf("the state folder: %v", err)
		}
		r, _ := h.report()
		if diff := cmp.Diff([]string{"web", hostile}, r.Hosts["mixed"].WouldChange); !r.Check || diff != "" {
			t.Errorf("check %v\n%s", r.Check, diff)
		}
	})
	step("check mode with a diff", func(t *testing.T) {
		out, recap := h.play("chainfix.yml", "-e", "chainfix_apply=true", "--check", "--diff")
		if recap["mixed"] != (counts{changed: 1}) || strings.Count(out, "+      <backingStore type='file'>") != 3 || !strings.Contains(out, `"+++ web"`) {
			t.Error(out)
		}
		unchanged(t, "mixed", "done", "stuck")
	})
	var firstRun string
	step("apply", func(t *testing.T) {
		out, recap := h.play("chainfix.yml", "-e", "chainfix_apply=true", "--diff")
		recapIs(t, recap, map[string]counts{"mixed": {changed: 1}, "done": {}, "stuck": {failed: 1}})
		unchanged(t, "done", "stuck")
		if strings.Count(out, "+      <backingStore type='file'>") != 3 {
			t.Error(out)
		}
		now := virshDefinitions(mixed)
		for name, definition := range now {
			changed := definition != original["mixed"][name]
			if want := asFound[name] == "fixable"; changed != want || strings.Contains(definition, "<backingStore/>") != want {
				t.Errorf("%q: changed %v\n%s", name, changed, definition)
			}
		}
		r, table := h.report()
		if diff := cmp.Diff([]string{"web", hostile}, r.Hosts["mixed"].Changed); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(map[string]string{"web": "explicit", hostile: "explicit", "shop": "refused", "plain": "explicit"}, r.verdicts("mixed")); diff != "" {
			t.Error(diff)
		}
		firstRun = r.Hosts["mixed"].Run
		if filepath.Dir(firstRun) != h.stateDir("mixed") {
			t.Errorf("run %q", firstRun)
		}
		if stuck := r.Hosts["stuck"]; !strings.Contains(stuck.Error, "not a directory") || stuck.Scan == nil || stuck.Run != "" {
			t.Errorf("%+v", stuck)
		}
		if !strings.Contains(table, "stuck failed: ") {
			t.Error(table)
		}
	})
	delete(h.inventory, "stuck")
	step("apply again", func(t *testing.T) {
		_, recap := h.play("chainfix.yml", "-e", "chainfix_apply=true")
		recapIs(t, recap, map[string]counts{"mixed": {}, "done": {}})
	})
	step("apply with a policy", func(t *testing.T) {
		policy := h.path("policy.yaml")
		text := fmt.Sprintf("version: 1\nformats:\n  - path: %s\n    format: qcow2\n", middle)
		if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, recap := h.play("chainfix.yml", "-e", "chainfix_apply=true", "-e", "chainfix_policy_file="+policy, "-e", `{"chainfix_guests": ["shop"]}`, "--limit", "mixed")
		recapIs(t, recap, map[string]counts{"mixed": {changed: 1}})
		r, _ := h.report()
		if diff := cmp.Diff(map[string]string{"shop": "explicit"}, r.verdicts("mixed")); diff != "" {
			t.Error(diff)
		}
	})
	step("rollback in check mode", func(t *testing.T) {
		before := virshDefinitions(mixed)
		out, recap := h.play("rollback.yml", "--check")
		recapIs(t, recap, map[string]counts{"mixed": {changed: 1}, "done": {}})
		if diff := cmp.Diff(before, virshDefinitions(mixed)); diff != "" || !strings.Contains(out, `"shop"`) || strings.Contains(out, `"web"`) {
			t.Errorf("%s\n%s", diff, out)
		}
	})
	step("rollback of the newest run", func(t *testing.T) {
		_, recap := h.play("rollback.yml")
		recapIs(t, recap, map[string]counts{"mixed": {changed: 1}, "done": {}})
		if now := virshDefinitions(mixed); now["shop"] != original["mixed"]["shop"] || now["web"] == original["mixed"]["web"] {
			t.Errorf("%q", now)
		}
	})
	step("rollback again", func(t *testing.T) {
		_, recap := h.play("rollback.yml")
		recapIs(t, recap, map[string]counts{"mixed": {}, "done": {}})
	})
	step("rollback of a guest changed meanwhile", func(t *testing.T) {
		fixed := virshDefinitions(mixed)["web"]
		mixed.Virsh("desc", "web", "--config", "mine")
		out, recap := h.play("rollback.yml", "-e", "chainfix_run="+firstRun, "--limit", "mixed")
		recapIs(t, recap, map[string]counts{"mixed": {failed: 1}})
		if now := virshDefinitions(mixed); now[hostile] != original["mixed"][hostile] || now["web"] == original["mixed"]["web"] || !strings.Contains(out, "somebody changed the guest meanwhile") {
			t.Errorf("%q\n%s", now, out)
		}
		mixed.Define(fixed)
	})
	step("rollback of the first run", func(t *testing.T) {
		_, recap := h.play("rollback.yml", "-e", "chainfix_run="+firstRun, "--limit", "mixed")
		recapIs(t, recap, map[string]counts{"mixed": {changed: 1}})
		unchanged(t, "mixed")
	})
	h.inventory["gone"] = map[string]any{}
	h.inventory["wrong"] = map[string]any{}
	for key, value := range h.inventory["done"] {
		h.inventory["gone"][key], h.inventory["wrong"][key] = value, value
	}
	h.inventory["gone"]["chainfix_connect"] = "qemu+unix:///session?socket=" + h.path("nobody")
	h.inventory["wrong"]["chainfix_apply"] = "perhaps"
	// The role puts the program on one of the hosts.
	there := h.path("bin/chainfix")
	if err := os.Mkdir(filepath.Dir(there), 0o700); err != nil {
		t.Fatal(err)
	}
	h.inventory["done"]["chainfix_program_source"], h.inventory["done"]["chainfix_program"] = h.inventory["done"]["chainfix_program"], there
	step("hosts that fail are in the report", func(t *testing.T) {
		_, recap := h.play("chainfix.yml", "-e", "chainfix_page_program="+h.program)
		h.pageHas("Backing chains of 4 hosts", `<a href="#h4-host"><bdi>wrong</bdi></a>`, "not reached")
		recapIs(t, recap, map[string]counts{"mixed": {}, "done": {changed: 1}, "gone": {failed: 1}, "wrong": {failed: 1}})
		r, table := h.report()
		if gone := r.Hosts["gone"]; !strings.Contains(gone.Error, "no such file or directory") || gone.Scan != nil {
			t.Errorf("%+v", gone)
		}
		if diff := cmp.Diff(asFound, r.verdicts("mixed")); diff != "" {
			t.Error(diff)
		}
		if wrong := r.Hosts["wrong"]; wrong.Error != "not reached" {
			t.Errorf("%+v", wrong)
		}
		var failed []string
		for line := range strings.Lines(table) {
			if name, _, found := strings.Cut(line, " failed: "); found {
				failed = append(failed, strings.TrimSpace(name))
			}
		}
		if !slices.Equal(failed, []string{"gone", "wrong"}) {
			t.Error(table)
		}
	})
	step("the program is there already", func(t *testing.T) {
		_, recap := h.play("chainfix.yml", "--limit", "done")
		recapIs(t, recap, map[string]counts{"done": {}})
	})
}
