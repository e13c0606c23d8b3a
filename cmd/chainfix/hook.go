package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// hookCommand is what a qemu hook script of libvirt's runs. It never calls
// libvirt, which waits for its end with the guest locked, and has no --network,
// so that no server can make it wait.
func hookCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:      hookName,
		Usage:     "make chains explicit, or verify them, as a hook of libvirt's; XML on standard input",
		ArgsUsage: "GUEST OPERATION SUB-OPERATION EXTRA",
		Flags:     flagsOf(hookFlags(), statementFlags(), timeoutFlags(hookTimeout)),
		Action:    func(c *cli.Context) error { return hook(c, std) },
	}
}

func hook(c *cli.Context, std streams) error {
	if c.NArg() != 4 {
		return usageError("hook takes the four words of libvirt (GUEST OPERATION SUB-OPERATION EXTRA), not %q", c.Args().Slice())
	}
	call, _ := readHookCall(c.Args().Slice())
	// Where there is nothing to do no flag can be wrong.
	if call.idle() || !call.rewrites() && !c.Bool("verify") {
		return nil
	}
	o, err := optionsOf(c)
	if err != nil {
		return err
	}
	journal := hookJournal{path: o.log, call: call, err: std.err}
	explicit, err := o.explicitFor(c.Context, call, std.in, journal)
	switch {
	case err == nil && (explicit == nil || !call.rewrites()):
		return nil
	case c.Context.Err() != nil:
		journal.note(context.Cause(c.Context).Error())
		return inputError(context.Cause(c.Context))
	case err == nil:
		journal.note("every chain is explicit now")
		return write(std.out, explicit)
	case o.verify && !call.goesOnToPrepare() && !errors.Is(err, errNotYet):
		journal.note("refused: " + err.Error())
		return err
	}
	journal.note("the XML is left as it is: " + err.Error())
	fmt.Fprintf(std.err, "chainfix: warning: the XML is left as it is: %v\n", err)
	return nil
}

const hookName = "hook"

// hookTimeout is how long an image may take to answer a hook, for which libvirt
// waits, and everybody who asks it for that guest.
const hookTimeout = 2 * time.Second

// hookCall is what libvirt says of the moment at which it runs a hook script:
// the four words that it appends to the script's command line (hooks.rst).
type hookCall struct {
	guest, operation, subOperation, extra string
}

// subOperations are all that libvirt knows (libvirt 9.0, virhook.c).
var subOperations = []string{"begin", "end", "-"}

// readHookCall finds libvirt's words at the end of a hook's command line. It
// reports false for words that libvirt cannot have put there.
func readHookCall(words []string) (hookCall, bool) {
	if len(words) < 4 {
		return hookCall{}, false
	}
	last := words[len(words)-4:]
	call := hookCall{last[0], last[1], last[2], last[3]}
	isFlag := call.extra != "-" && strings.HasPrefix(call.extra, "-")
	ok := slices.Contains(subOperations, call.subOperation) && !slices.Contains(subOperations, call.operation) && !isFlag
	return call, ok
}

// idle reports that the moment is none at which chainfix does anything, those
// of a libvirt to come included.
func (c hookCall) idle() bool {
	return c.subOperation != "begin" || !slices.Contains([]string{"migrate", "restore", "prepare"}, c.operation)
}

// rewrites reports that libvirt takes the hook's standard output, if there is
// any, for the guest's XML.
func (c hookCall) rewrites() bool { return c.operation != "prepare" }

// goesOnToPrepare reports that a refusal is left to "prepare", which comes next with
// the same XML. libvirt 11.3 takes a hook that fails in "restore" for a success: it
// deletes the saved state, and starts nothing.
func (c hookCall) goesOnToPrepare() bool { return c.operation == "restore" }

// guardHook looks at a command line before anything else does, in case that it
// is a hook's.
//
// A hook that fails in "reconnect" kills a guest that runs, at the restart of
// the daemon; one that fails in "started" ends one that has just started
// (hooks.rst). So where there is nothing to do, nothing can fail: idle is true
// even if the rest of the line is wrong, and where "reconnect" is on a line that
// is not libvirt's.
//
// Otherwise libvirt's words come back after "--", because a guest may be called
// "--verify=false".
func guardHook(args []string) (guarded []string, idle bool) {
	if len(args) < 2 || args[1] != hookName {
		return args, false
	}
	words := args[2:]
	call, ok := readHookCall(words)
	switch {
	case !ok:
		return args, slices.Contains(words, "reconnect")
	case call.idle():
		return args, true
	}
	return slices.Insert(slices.Clone(args), len(args)-4, "--"), false
}

// isRestore reports whether a command line, as [guardHook] returns it, is that of a
// hook which must not fail.
func isRestore(args []string) bool {
	if len(args) < 2 || args[1] != hookName {
		return false
	}
	call, ok := readHookCall(args[2:])
	return ok && call.goesOnToPrepare()
}

// hookJournal is the file for what a hook has to say: libvirt 9.0 drops the
// standard error of a hook that succeeds, but for its debug log.
type hookJournal struct {
	path string // "" for none
	call hookCall
	err  io.Writer
}

// note appends a line. That it cannot is no reason to fail.
func (j hookJournal) note(text string) {
	if j.path == "" {
		return
	}
	line := fmt.Sprintf("%s guest %q, %s %s: %s\n", time.Now().UTC().Format(time.RFC3339), j.call.guest, j.call.operation, j.call.subOperation, text)
	if err := appendTo(j.path, []byte(line)); err != nil {
		fmt.Fprintf(j.err, "chainfix: warning: cannot write to %q: %v\n", j.path, err)
	}
}

// appendTo writes to a file, and waits for no pipe: not for one that nobody has
// open, nor for one that is full, which package os would do.
func appendTo(path string, line []byte) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	n, err := unix.Write(fd, line)
	if err == nil && n < len(line) {
		err = io.ErrShortWrite
	}
	return cmp.Or(err, unix.Close(fd))
}
