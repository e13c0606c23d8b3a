package main

import (
	"os"
	"strings"
	"testing"
)

// What the packages bring calls the program by commands and flags that it has, and is what
// the documents show.

func packaged(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile("../../packaging/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestScansOfTheTimerAreCommands: systemd would say so only at night.
func TestScansOfTheTimerAreCommands(t *testing.T) {
	scans := 0
	for line := range strings.Lines(packaged(t, "chainfix-scan.service")) {
		command, ok := strings.CutPrefix(line, "ExecStart=")
		if !ok {
			continue
		}
		scans++
		words := strings.Fields(strings.TrimSuffix(strings.TrimSpace(command), "$FLAGS"))
		line, err := readWords(newApp(streams{}), words[1:])
		if err != nil || strings.Join(line.path, " ") != "host scan" || len(line.names) > 0 || strings.TrimPrefix(words[0], "-") != "/usr/bin/chainfix" {
			t.Errorf("ExecStart has %q: %v", words, err)
		}
	}
	if scans != 2 {
		t.Errorf("the service has %d scans", scans)
	}
}

// TestHookOfThePackageIsTheDocumented: people copy it from here or from there.
func TestHookOfThePackageIsTheDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/hook.md")
	if err != nil {
		t.Fatal(err)
	}
	if hook := packaged(t, "libvirt-hook"); !strings.Contains(string(page), "```sh\n"+hook+"```") {
		t.Errorf("docs/hook.md does not show\n%s", hook)
	}
}
