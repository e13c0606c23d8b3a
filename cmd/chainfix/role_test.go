package main

import (
	"crypto/sha256"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/testdata/peers"
)

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
		_, recap := h.play("scan", "--diff", "-e", "chainfix_page_program="+h.program)
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
      unchanged, libvirt 11.3.0 refuses 0 and opens the wrong data for 0
      unchanged, libvirt 9.0.0 refuses 0 and opens the wrong data for 0
mixed        4        1        2        1        0
      unchanged, libvirt 11.3.0 refuses 1 and opens the wrong data for 0
      unchanged, libvirt 9.0.0 refuses 1 and opens the wrong data for 0
      "shop" is refused: probed-backing
stuck        1        0        1        0        0
      unchanged, libvirt 11.3.0 refuses 0 and opens the wrong data for 0
      unchanged, libvirt 9.0.0 refuses 0 and opens the wrong data for 0
`
		if diff := cmp.Diff(want, table); diff != "" {
			t.Error(diff)
		}
	})
	step("refused guests fail where that is asked for", func(t *testing.T) {
		_, recap := h.play("scan", "-e", "chainfix_fail_on_refused=true")
		want := allOf(counts{})
		want["mixed"] = counts{failed: 1}
		recapIs(t, recap, want)
	})
	step("check mode", func(t *testing.T) {
		out, recap := h.play("apply", "--check", "-vvv")
		want := allOf(counts{changed: 1})
		want["done"] = counts{}
		recapIs(t, recap, want)
		unchanged(t, "mixed", "done", "stuck")
		if strings.Contains(out, "<backingStore") {
			t.Errorf("nobody asked for a diff:\n%s", out)
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
		out, recap := h.play("apply", "--check", "--diff")
		if recap["mixed"] != (counts{changed: 1}) || strings.Count(out, "+      <backingStore type='file'>") != 3 || !strings.Contains(out, `"+++ web"`) {
			t.Error(out)
		}
		unchanged(t, "mixed", "done", "stuck")
	})
	var firstRun string
	step("apply", func(t *testing.T) {
		out, recap := h.play("apply", "--diff")
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
		_, recap := h.play("apply")
		recapIs(t, recap, map[string]counts{"mixed": {}, "done": {}})
	})
	step("apply with a policy", func(t *testing.T) {
		policy := h.path("policy.yaml")
		text := fmt.Sprintf("version: 1\nformats:\n  - path: %s\n    format: qcow2\n", middle)
		if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, recap := h.play("apply", "-e", "chainfix_policy_file="+policy, "-e", `{"chainfix_guests": ["shop"]}`, "--limit", "mixed")
		recapIs(t, recap, map[string]counts{"mixed": {changed: 1}})
		r, _ := h.report()
		if diff := cmp.Diff(map[string]string{"shop": "explicit"}, r.verdicts("mixed")); diff != "" {
			t.Error(diff)
		}
	})
	step("rollback in check mode", func(t *testing.T) {
		before := virshDefinitions(mixed)
		out, recap := h.play("rollback", "--check")
		recapIs(t, recap, map[string]counts{"mixed": {changed: 1}, "done": {}})
		if diff := cmp.Diff(before, virshDefinitions(mixed)); diff != "" || !strings.Contains(out, `"shop"`) || strings.Contains(out, `"web"`) {
			t.Errorf("%s\n%s", diff, out)
		}
	})
	step("rollback of the newest run", func(t *testing.T) {
		_, recap := h.play("rollback")
		recapIs(t, recap, map[string]counts{"mixed": {changed: 1}, "done": {}})
		if now := virshDefinitions(mixed); now["shop"] != original["mixed"]["shop"] || now["web"] == original["mixed"]["web"] {
			t.Errorf("%q", now)
		}
	})
	step("rollback again", func(t *testing.T) {
		_, recap := h.play("rollback")
		recapIs(t, recap, map[string]counts{"mixed": {}, "done": {}})
	})
	step("rollback of a guest that somebody changed", func(t *testing.T) {
		fixed := virshDefinitions(mixed)["web"]
		mixed.Virsh("desc", "web", "--config", "mine")
		out, recap := h.play("rollback", "-e", "chainfix_run="+firstRun, "--limit", "mixed")
		recapIs(t, recap, map[string]counts{"mixed": {failed: 1}})
		if now := virshDefinitions(mixed); now[hostile] != original["mixed"][hostile] || now["web"] == original["mixed"]["web"] || !strings.Contains(out, "somebody changed the guest meanwhile") {
			t.Errorf("%q\n%s", now, out)
		}
		mixed.Define(fixed)
	})
	step("rollback of the first run", func(t *testing.T) {
		_, recap := h.play("rollback", "-e", "chainfix_run="+firstRun, "--limit", "mixed")
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
	step("hosts that fail are in the report", func(t *testing.T) {
		_, recap := h.play("scan", "-e", "chainfix_page_program="+h.program)
		h.pageHas("Backing chains of 4 hosts", `<a href="#h4-host"><bdi>wrong</bdi></a>`, "not reached")
		recapIs(t, recap, map[string]counts{"mixed": {}, "done": {}, "gone": {failed: 1}, "wrong": {failed: 1}})
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
	host, file := h.inventory["done"], h.smallPackage()
	delete(host, "chainfix_program")
	delete(host, "chainfix_report")
	step("the package is installed", func(t *testing.T) {
		h.apart = onCopies(t)
		host["chainfix_package"] = file
		out, recap := h.play("scan", "--limit", "done")
		if c := recap["done"]; c.changed == 0 || c.failed > 0 {
			t.Errorf("%v\n%s", recap, out)
		}
		report, err := os.ReadFile(h.path("chainfix-report.json"))
		if err != nil || !strings.Contains(string(report), `"plain"`) {
			t.Errorf("the report in the current folder: %v\n%s", err, report)
		}
		// By a URL it is the same package, so it is there already.
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		host["chainfix_package"], host["chainfix_package_checksum"] = "file://"+file, fmt.Sprintf("sha256:%x", sha256.Sum256(content))
		_, recap = h.play("scan", "--limit", "done")
		recapIs(t, recap, map[string]counts{"done": {}})
		if _, err := os.Lstat("/var/cache/" + filepath.Base(file)); !os.IsNotExist(err) {
			t.Errorf("this machine itself was changed: %v", err)
		}
	})
}
