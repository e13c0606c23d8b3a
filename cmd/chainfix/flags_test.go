package main

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// flagText is the page that has to mention every flag of a command.
func flagText(command string) string {
	switch command {
	case hookName:
		return "docs/hook.md"
	case "host apply", "host runs", "host rollback":
		return "docs/apply.md"
	}
	if strings.HasPrefix(command, "host ") {
		return "docs/host.md"
	}
	return "docs/commands.md"
}

// TestFlagsAreExplained: each flag is in the documentation and in the --help of its
// command, with a line of its own, and has a row that says what it sets.
func TestFlagsAreExplained(t *testing.T) {
	known := make(map[string]bool)
	for _, row := range allFlags() {
		known[row.Names()[0]] = true
	}
	// What the commands of a host share with the others is explained with those.
	var shared []string
	for _, row := range policyFlags() {
		shared = append(shared, row.Names()[0])
	}
	var check func(path string, commands []*cli.Command)
	check = func(path string, commands []*cli.Command) {
		for _, command := range commands {
			name := strings.TrimSpace(path + " " + command.Name)
			help := helpOf(t, name)
			for _, flag := range command.Flags {
				long := flag.Names()[0]
				if !known[long] {
					t.Errorf("--%s of %q is in none of the groups of allFlags", long, name)
				}
				if !mentions(help, long) {
					t.Errorf("chainfix %s --help does not mention --%s", name, long)
				}
				text := flagText(name)
				if strings.HasPrefix(name, "host ") && slices.Contains(shared, long) {
					text = "docs/commands.md"
				}
				content, err := os.ReadFile("../../" + text)
				if err != nil {
					t.Fatal(err)
				}
				if !mentions(string(content), long) {
					t.Errorf("%s does not mention --%s of %q", text, long, name)
				}
			}
			check(name, command.Subcommands)
		}
	}
	check("", newApp(streams{}).Commands)
}

// mentions reports whether a text has a flag, and not only one whose name begins
// like it.
func mentions(text, flag string) bool {
	return regexp.MustCompile(`--` + regexp.QuoteMeta(flag) + `($|[^-a-z])|/--` + regexp.QuoteMeta(flag) + `\b`).MatchString(text)
}

func helpOf(t *testing.T, command string) string {
	t.Helper()
	var out bytes.Buffer
	args := append(append([]string{"chainfix"}, strings.Fields(command)...), "--help")
	if status := run(context.Background(), args, streams{strings.NewReader(""), &out, &out}); status != exitDone {
		t.Fatalf("%q: exit status %d: %s", args, status, out.String())
	}
	return out.String()
}
