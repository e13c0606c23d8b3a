//go:build small

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/chain/storage"
)

// fullProgram is where a package has the full program, from the folder of the small one.
const fullProgram = "../libexec/chainfix/chainfix"

// fullFlags are the flags that need the full program.
var fullFlags = []string{"policy", "network"}

// errNotFull is returned for what this program cannot do.
var errNotFull = errors.New("this needs the full program, which is not installed")

// hostCommands are the commands for whole hosts, by their names alone.
func hostCommands(streams) []*cli.Command {
	host := &cli.Command{Name: hostName, Usage: hostUsage}
	for _, name := range hostCommandNames {
		host.Subcommands = append(host.Subcommands, &cli.Command{Name: name})
	}
	return []*cli.Command{host}
}

func hostFlags() []flagRow { return nil }

// remoteOpener is not called: the full program is.
func (o *options) remoteOpener() storage.Opener { return storage.FileOpener{} }

// readPolicy is called where the full program could not be.
func readPolicy(context.Context, *limit.Requests, string) (policy chain.Policy, pools string, err error) {
	return policy, "", errNotFull
}

// handOver makes the process the full program, if a command line is for that, or if this
// program does not understand it: then there is no line. It returns if the process is not
// to be another one, and why it could not be. A hook goes on without the full program: it
// knows what to do if it cannot read its policy.
func handOver(line *commandLine, args []string) error {
	host := len(args) > 1 && args[1] == hostName
	if line != nil && !host && !line.full() {
		return nil
	}
	path, err := os.Executable()
	if err == nil {
		path = filepath.Join(filepath.Dir(path), fullProgram)
		err = syscall.Exec(path, args, os.Environ())
	}
	if !host && (line == nil || line.completes || line.command.Name == hookName) {
		return nil
	}
	return inputError(fmt.Errorf("%w: %s: %w", errNotFull, shownName(path), err))
}

// complete is called where the full program could not be, and knows nothing.
func complete(context.Context, *cli.App, []string) string { return "" }

// full reports whether a flag is for the full program, or the help is wanted of a command
// that only this one has, or a shell asks how to go on.
func (l *commandLine) full() bool {
	return l.completes || len(l.path) > 0 && l.path[0] == hostName || slices.ContainsFunc(l.flags, func(word string) bool {
		name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
		return strings.HasPrefix(word, "-") && slices.Contains(fullFlags, name)
	})
}
