package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSmallProgramKnowsNoNetwork: the small program contains no code for networks,
// libvirt's protocol or YAML.
func TestSmallProgramKnowsNoNetwork(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-tags", "small,urfave_cli_no_docs", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, modulePath+"/xmlfix") {
		t.Fatalf("go list names %q", deps)
	}
	for _, dep := range deps {
		for _, unwanted := range []string{"net", "net/http", "crypto/tls", "os/exec"} {
			if dep == unwanted {
				t.Errorf("it imports %s", dep)
			}
		}
		for _, unwanted := range []string{"ssh", "yaml", "go-libvirt"} {
			if strings.Contains(dep, unwanted) {
				t.Errorf("it imports %s", dep)
			}
		}
	}
}

// TestSmallProgramNamesHostCommands: those are what the full program has.
func TestSmallProgramNamesHostCommands(t *testing.T) {
	if full := commandNames(hostCommand(streams{}).Subcommands); !slices.Equal(full, hostCommandNames) {
		t.Errorf("the small program names %q, and the full one has %q", hostCommandNames, full)
	}
}

// TestSmallProgramAlone: without the full program it says what is missing where it needs
// that, and does everything else. As a hook it lets guests start.
func TestSmallProgramAlone(t *testing.T) {
	dir := packagePrograms(t)
	program := filepath.Join(dir, "bin/chainfix")
	policy, wrong, guest := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "wrong.yaml"), filepath.Join(dir, "guest.xml")
	for path, text := range map[string]string{
		policy: "version: 1\nformats:\n  - path: /no/such.img\n    format: raw\n",
		wrong:  "formats: wrong\n",
		guest:  "<domain type='kvm'><name>web</name><devices/></domain>\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	hook := func(operation string, flags ...string) []string {
		return slices.Concat([]string{"hook"}, flags, []string{"web", operation, "begin", "-"})
	}
	run := func(args ...string) (out, complaints string, status int) {
		t.Helper()
		c := exec.Command(program, args...)
		var stdout, stderr strings.Builder
		c.Stdin, c.Stdout, c.Stderr = strings.NewReader("<domain type='kvm'><name>web</name><devices/></domain>\n"), &stdout, &stderr
		if err := c.Run(); c.ProcessState == nil {
			t.Fatal(err)
		}
		return stdout.String(), stderr.String(), c.ProcessState.ExitCode()
	}
	type want struct {
		args   []string
		status int
		said   string
	}
	check := func(wants []want) {
		t.Helper()
		for _, w := range wants {
			if _, complaints, status := run(w.args...); status != w.status || !strings.Contains(complaints, w.said) {
				t.Errorf("%q: status %d, %q; want %d, %q", w.args, status, complaints, w.status, w.said)
			}
		}
	}
	check([]want{
		{[]string{"check", "--policy", policy, guest}, 0, ""},
		{[]string{"check", "--policy=" + wrong, guest}, 4, "wrong.yaml:1:"}, // the full program says so
		{hook("prepare", "--policy", policy), 0, ""},
	})
	if err := os.RemoveAll(filepath.Join(dir, "libexec")); err != nil {
		t.Fatal(err)
	}
	const missing = "libexec/chainfix/chainfix"
	check([]want{
		{[]string{"fix", guest}, 0, ""},
		{[]string{"check", "--policy", policy, guest}, 4, missing},
		{[]string{"check", "--network", guest}, 4, missing},
		{[]string{"host", "scan", "--from", dir}, 4, missing},
		{[]string{"check", "--nonsense"}, 2, "--nonsense"},
		{hook("prepare"), 0, ""},
		{hook("prepare", "--policy", policy), 0, "its chain could not be checked"},
		{hook("prepare", "--verify", "--policy", policy), 4, "this needs the full program"},
		{[]string{"help", "host"}, 4, missing},
		{[]string{completeName, "fish", "chainfix", "f"}, 0, ""},
	})
}
