package main

import (
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// newApp builds the command line. urfave/cli v2 has habits that the contract
// forbids: usage errors on standard output with status 1, commas that split
// repeated flags, an exit in the middle of a run. They are switched off here.
// Only this file and arguments.go, which separates flags from names and handles
// help, know about them.
func newApp(std streams) *cli.App {
	app := &cli.App{
		Name:      "chainfix",
		Usage:     "make the backing chains of libvirt guests explicit",
		UsageText: "chainfix [fix] [flags] [FILE]",
		Reader:    std.in,
		Writer:    std.out,
		ErrWriter: std.err,
		// Paths hold commas.
		DisableSliceFlagSeparator: true,
		HideHelp:                  true,
		HideVersion:               true,
		// Only main ends the process.
		ExitErrHandler: func(*cli.Context, error) {},
		Commands: slices.Concat([]*cli.Command{
			fixCommand(std), checkCommand(std), probeCommand(std),
			stripCommand(std), explainCommand(std), schemaCommand(std), demoCommand(std),
		}, hostCommands(std), []*cli.Command{hookCommand(std), completionCommand(std)}),
	}
	prepare(app.Commands)
	return app
}

// The commands for whole hosts. Their names are all that the small program knows about
// them.
const (
	hostName  = "host"
	hostUsage = "scan, fix and roll back all guests of a host"
)

// hostCommandNames are the names of host's subcommands.
var hostCommandNames = []string{"scan", "page", "tree", "who", "apply", "runs", "rollback"}

// prepare sets on all commands what cli does not inherit from the App.
func prepare(commands []*cli.Command) {
	for _, command := range commands {
		command.OnUsageError = onUsageError
		command.HideHelp = true
		prepare(command.Subcommands)
	}
}

func onUsageError(c *cli.Context, err error, _ bool) error {
	return seeHelp(pathOf(c), usageError("%w", err))
}

// pathOf returns the words that name the running command.
func pathOf(c *cli.Context) []string { return strings.Fields(c.Command.HelpName)[1:] }

// atMost checks the number of arguments.
func atMost(c *cli.Context, n int, what string) error {
	if c.NArg() > n {
		return seeHelp(pathOf(c), usageError("%s takes %s, not %q", c.Command.Name, what, strings.Join(c.Args().Slice(), " ")))
	}
	return nil
}

// write writes bytes to an output; an error ends the program.
func write(w io.Writer, p []byte) error {
	_, err := w.Write(p)
	return writeError(err)
}

func writeError(err error) error {
	if err != nil {
		return inputError(&outputError{err})
	}
	return nil
}

// outputError says why nothing more can be printed.
type outputError struct{ error }

func (e *outputError) Error() string { return "cannot write: " + e.error.Error() }
func (e *outputError) Unwrap() error { return e.error }
