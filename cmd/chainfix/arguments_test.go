package main

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
	"pgregory.net/rapid"

	"github.com/chainfix/chainfix/chain/finding"
)

// TestHelpFits: the help of a command fits into 80 columns, and has what people look
// for: what it does, examples, the exit status, and each flag under a fitting heading.
func TestHelpFits(t *testing.T) {
	t.Parallel()
	var check func(path []string, commands []*cli.Command)
	check = func(path []string, commands []*cli.Command) {
		for _, command := range commands {
			path := append(slices.Clone(path), command.Name)
			check(path, command.Subcommands)
			help := helpOf(t, strings.Join(path, " "))
			for line := range strings.Lines(help) {
				if len(line) > helpColumns+1 {
					t.Errorf("%s --help has a line of %d columns: %q", path, len(line)-1, line)
				}
			}
			for _, part := range []string{"chainfix " + strings.Join(path, " "), "\nExamples", "\nExit status:\n"} {
				if !strings.Contains(help, part) {
					t.Errorf("%s --help has no %q", path, part)
				}
			}
			for _, part := range []string{otherFlags, "false"} {
				if strings.Contains(help, part) {
					t.Errorf("%s --help has %q:\n%s", path, part, help)
				}
			}
		}
	}
	check(nil, newApp(streams{}).Commands)
	for line := range strings.Lines(helpOf(t, "")) {
		if len(line) > helpColumns+1 {
			t.Errorf("chainfix --help has a line of %d columns: %q", len(line)-1, line)
		}
	}
}

// TestHelpOnTerminal: without a document on a terminal, the help is shown. Standard
// output, which may be a file, gets nothing.
func TestHelpOnTerminal(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{"": "chainfix: make the backing chains", "-d": "chainfix: make the backing chains",
		"fix": "chainfix fix: rewrite", "check --jobs 2": "chainfix check: report", "strip": "chainfix strip: remove"} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			cmd := program(t, strings.Fields(args)...)
			cmd.Stdout = &out
			s := onScreen(t, cmd, helpColumns)
			s.rest()
			err := cmd.Wait()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != exitUsage || out.Len() > 0 || !strings.HasPrefix(s.String(), want) {
				t.Errorf("%v, printed %q, the terminal shows\n%s", err, out.String(), s)
			}
		})
	}
}

// TestOrderOfWords: the position of flags among the arguments makes no difference.
func TestOrderOfWords(t *testing.T) {
	t.Parallel()
	app := newApp(streams{})
	flag := rapid.SampledFrom([][]string{{"--network"}, {"--trust", "/a=raw"}, {"--trust=/b=raw"}, {"-rule", "--"}, {"--output", "-x"}, {"--refresh=false"}})
	name := rapid.SampledFrom([]string{"vm.xml", "-", "", "help", "fix", "-x", "--", "a=b"})
	rapid.Check(t, func(t *rapid.T) {
		flags := rapid.SliceOf(flag).Draw(t, "flags")
		names := rapid.SliceOf(name).Draw(t, "names")
		words, left := []string{"check"}, slices.Clone(flags)
		rest := names
		for len(rest) > 0 && (rest[0] == "" || rest[0] == "-" || rest[0][0] != '-') {
			if len(left) > 0 && rapid.Bool().Draw(t, "flag") {
				words, left = append(words, left[0]...), left[1:]
				continue
			}
			words, rest = append(words, rest[0]), rest[1:]
		}
		words = slices.Concat(words, slices.Concat(left...), []string{"--"}, rest)
		line, err := readWords(app, words)
		if err != nil {
			t.Fatalf("%q: %v", words, err)
		}
		want := slices.Concat([]string{"chainfix", "check"}, slices.Concat(flags...), []string{"--"}, names)
		if got := line.arguments("chainfix"); !slices.Equal(got, want) {
			t.Fatalf("%q are\n%q, not\n%q", words, got, want)
		}
	})
}

// TestNearest: a word is taken for another one only if the two are similar.
func TestNearest(t *testing.T) {
	t.Parallel()
	commands := commandNames(newApp(streams{}).Commands)
	var codes []string
	for _, e := range finding.Explanations() {
		codes = append(codes, string(e.Code))
	}
	for _, tt := range []struct {
		typed string
		known []string
		want  string
	}{
		{"chek", commands, "check"}, {"cehck", commands, "check"}, {"fixx", commands, "fix"}, {"prob", commands, "probe"},
		{"expl", commands, "explain"}, {"hots", commands, "host"}, {"strips", commands, "strip"},
		{"web", commands, ""}, {"vm", commands, ""}, {"test", commands, ""}, {"", commands, ""}, {"x", commands, ""},
		{"vm.xml", commands, ""}, {"/images/host", commands, ""}, {"scan", commands, ""},
		{"probed-backin", codes, "probed-backing"}, {"chain_loop", codes, "chain-loop"}, {"nonsense", codes, ""},
		{strings.Repeat("fix", 1000), commands, ""},
	} {
		if got := nearest(tt.typed, tt.known); got != tt.want {
			t.Errorf("for %.40q it is %q, want %q", tt.typed, got, tt.want)
		}
	}
}
