package main

import (
	"flag"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// newApp builds the command line. urfave/cli v2 has habits that the contract
// forbids: usage errors on standard output with status 1, commas that split
// repeated flags, an exit in the middle of a run. They are switched off here,
// and nothing outside this file needs to know of them.
func newApp(std streams) *cli.App {
	app := &cli.App{
		Name:      "chainfix",
		Usage:     "make the backing chains of libvirt guests explicit",
		UsageText: "chainfix [fix] [flags] [FILE]\nvirsh dumpxml --inactive --security-info VM | chainfix | virsh define /dev/stdin",
		Version:   version(),
		Reader:    std.in,
		Writer:    std.out,
		ErrWriter: std.err,
		// Paths hold commas.
		DisableSliceFlagSeparator: true,
		HideHelpCommand:           true,
		// Only main ends the process.
		ExitErrHandler: func(*cli.Context, error) {},
		Commands: []*cli.Command{
			fixCommand(std), checkCommand(std), probeCommand(std),
			stripCommand(std), explainCommand(std), demoCommand(std), hostCommand(std),
			hookCommand(std),
		},
	}
	app.OnUsageError = onUsageError
	app.Action = func(c *cli.Context) error { return cli.ShowAppHelp(c) }
	for _, command := range app.Commands {
		prepare(command)
	}
	cli.VersionPrinter = func(c *cli.Context) { fmt.Fprintln(c.App.Writer, c.App.Name, c.App.Version) }
	return app
}

// prepare gives a command what cli does not inherit from the App, and the check
// that nothing that looks like a flag follows a file name, where cli
// would take it for one more name.
func prepare(command *cli.Command) {
	command.OnUsageError = onUsageError
	command.HideHelpCommand = true
	if command.Name == hookName {
		return // its words are libvirt's, and a guest may be called anything
	}
	for _, sub := range command.Subcommands {
		prepare(sub)
	}
	action := command.Action
	command.Action = func(c *cli.Context) error {
		c, err := withNames(c)
		if err != nil {
			return err
		}
		return action(c)
	}
}

// withNames returns the context with nothing but names for arguments: "--" ends
// the flags, wherever it is, and what comes after it is a name even if it
// begins with a dash.
func withNames(c *cli.Context) (*cli.Context, error) {
	args := c.Args().Slice()
	names, end := args, slices.Index(args, "--")
	switch {
	case flagsEnded(c):
		return c, nil
	case end >= 0:
		names = args[:end]
	}
	for _, name := range names {
		if len(name) > 1 && name[0] == '-' {
			return nil, usageError("flag %q must stand before the file names", name)
		}
	}
	if end < 0 {
		return c, nil
	}
	set := flag.NewFlagSet(c.Command.Name, flag.ContinueOnError)
	if err := set.Parse(slices.Concat([]string{"--"}, names, args[end+1:])); err != nil {
		return nil, err
	}
	all := cli.NewContext(c.App, set, c)
	all.Command = c.Command
	return all, nil
}

// flagsEnded reports whether "--" stood in front of the arguments, from which cli
// has taken it.
func flagsEnded(c *cli.Context) bool {
	above := c.Lineage()[1].Args().Slice()
	before := len(above) - c.NArg() - 1
	return before >= 0 && above[before] == "--"
}

func onUsageError(_ *cli.Context, err error, _ bool) error {
	return usageError("%w (see chainfix --help)", err)
}

// withCommand inserts the word "fix" where no command is named.
func withCommand(app *cli.App, args []string) []string {
	if len(args) > 1 {
		first := args[1]
		if slices.Contains([]string{"-h", "--help", "-help", "-v", "--version", "-version"}, first) {
			return args
		}
		if first == "help" {
			return slices.Concat(args[:1], args[2:], []string{"--help"})
		}
		if app.Command(first) != nil {
			return args
		}
	}
	return slices.Concat(args[:1], []string{"fix"}, args[min(1, len(args)):])
}

// version is what the Go tool chain knows of this build.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

// atMost checks the number of arguments.
func atMost(c *cli.Context, n int, what string) error {
	if c.NArg() > n {
		return usageError("%s takes %s, not %q", c.Command.Name, what, strings.Join(c.Args().Slice(), " "))
	}
	return nil
}

// write hands bytes to an output and makes a failure the program's.
func write(w io.Writer, p []byte) error {
	_, err := w.Write(p)
	return writeError(err)
}

func writeError(err error) error {
	if err != nil {
		return inputError(fmt.Errorf("cannot write: %w", err))
	}
	return nil
}
