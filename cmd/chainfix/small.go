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

// fullProgram is where packages install the full program, relative to the folder of the
// small one.
const fullProgram = "../libexec/chainfix/chainfix"

// fullFlags are the flags that need the full program.
var fullFlags = []string{"policy", "network"}

// errNotFull is returned for what only the full program can do.
var errNotFull = errors.New("this needs the full program, which is not installed")

// hostCommands are the commands for whole hosts, as names only.
func hostCommands(streams) []*cli.Command {
	host := &cli.Command{Name: hostName, Usage: hostUsage}
	for _, name := range hostCommandNames {
		host.Subcommands = append(host.Subcommands, &cli.Command{Name: name})
	}
	return []*cli.Command{host}
}

func hostFlags() []flagRow { return nil }

// remoteOpener is never called: the full program runs instead.
func (o *options) remoteOpener() storage.Opener { return storage.FileOpener{} }

// readPolicy is called only if the full program is missing.
func readPolicy(context.Context, *limit.Requests, string) (policy chain.Policy, pools string, err error) {
	return policy, "", errNotFull
}

// handOver executes the full program if the command line needs it, or if line is nil
// because this program does not understand it. It returns nil if the small program can go
// on, and an error if the full program cannot be executed. A hook goes on without it: it
// handles a policy that cannot be read.
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

// complete is called only if the full program is missing, and has no candidates.
func complete(context.Context, *cli.App, []string) string { return "" }

// full reports whether the line needs the full program: for a flag, for the help of its
// commands, or for completion.
func (l *commandLine) full() bool {
	return l.completes || len(l.path) > 0 && l.path[0] == hostName || slices.ContainsFunc(l.flags, func(word string) bool {
		name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
		return strings.HasPrefix(word, "-") && slices.Contains(fullFlags, name)
	})
}
