package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// hookCommand is for libvirt's qemu hook script. It never calls libvirt, which
// waits for the hook with the guest locked, and it has no --network, so that no
// server can make it wait.
func hookCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:        hookName,
		Usage:       "as libvirt's QEMU hook, stop guests whose chain is wrong, and make chains explicit on migration and restore; reads the XML from standard input",
		ArgsUsage:   "GUEST OPERATION SUB-OPERATION EXTRA",
		Description: hookDescription,
		Flags:       flagsOf(hookFlags(), statementFlags()),
		Action:      func(c *cli.Context) error { return hook(c, std) },
	}
}

func hook(c *cli.Context, std streams) error {
	if c.NArg() != 4 {
		return usageError("hook takes the four words of libvirt (GUEST OPERATION SUB-OPERATION EXTRA), not %q", c.Args().Slice())
	}
	call, _ := readHookCall(c.Args().Slice())
	// If there is nothing to do, do not fail over a wrong flag.
	if call.idle() || !call.rewrites() && c.Bool("no-guard") && !c.Bool("verify") {
		return nil
	}
	o, err := optionsOf(c)
	if err != nil {
		return err
	}
	h := &hookRun{options: o, call: call, std: std,
		journal: hookJournal{path: o.log, json: o.logJSON, id: callID(), call: call, err: std.err, patience: o.timeout / 10}}
	if c.Context.Value(apartKey{}) != nil {
		return h.apart(c.Context, hookWords(c))
	}
	explicit, err := h.work(c.Context)
	return h.conclude(c.Context, explicit, err)
}

// hookWords are the words of the command line from "hook" on, before [guardHook]
// changed them.
func hookWords(c *cli.Context) []string {
	words := c.Lineage()[1].Args().Slice()
	if at := len(words) - 5; at > 0 && words[at] == "--" {
		words = slices.Delete(slices.Clone(words), at, at+1)
	}
	return words
}

// hookRun is one run of the hook.
type hookRun struct {
	*options
	call    hookCall
	std     streams
	journal hookJournal
}

// work handles the operation: it returns the XML with every chain explicit, if libvirt
// takes it, and an error if that is impossible or the chain is wrong.
func (h *hookRun) work(ctx context.Context) (explicit []byte, err error) {
	limit := h.timeout
	// The shorter limits leave time to report which image does not answer, or at
	// least that time is up.
	h.timeout = limit * 7 / 10
	ctx, cancel := context.WithTimeoutCause(ctx, limit*8/10, timeUpError{limit})
	defer cancel()
	if h.call.operation == "start" || h.call.operation == "prepare" && !h.verify {
		err = h.guard(ctx)
	} else {
		explicit, err = h.explicit(ctx)
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = context.Cause(ctx)
	}
	return explicit, err
}

// conclude prints the XML, or reports what is wrong. It returns an error only if the
// operation must fail.
func (h *hookRun) conclude(ctx context.Context, explicit []byte, err error) error {
	as := "the XML stays unchanged: "
	if !h.call.rewrites() {
		as = "the guest starts, but its chain could not be checked: "
	}
	switch {
	case err == nil && (explicit == nil || !h.call.rewrites()):
		return nil
	case ctx.Err() != nil:
		err = context.Cause(ctx)
		h.journal.conclude("", "", err)
		return inputError(err)
	case err == nil:
		h.journal.conclude("explicit", "", errors.New("every chain is explicit now"))
		return write(h.std.out, explicit)
	case errors.Is(err, errContradicted), h.verify && h.call.operation != "start" && !h.call.goesOnToPrepare() && !errors.Is(err, errNotYet):
		h.journal.conclude("refused", "refused: ", err)
		if errors.As(err, new(timeUpError)) {
			return &statusError{exitRefused, err}
		}
		return err
	}
	h.journal.conclude("left", as, err)
	fmt.Fprintf(h.std.err, "chainfix: warning: %s%v\n", as, err)
	return nil
}

const hookName = "hook"

// hookTimeout bounds the whole hook: libvirt waits for it, and so does every
// client that asks about that guest.
const hookTimeout = 2 * time.Second

// hookCall is the operation for which libvirt runs the hook script: the four
// words that it appends to the script's command line (hooks.rst).
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

// idle reports that chainfix does nothing in this operation. Unknown operations
// of later libvirts are idle too.
func (c hookCall) idle() bool {
	return c.subOperation != "begin" || !slices.Contains([]string{"migrate", "restore", "prepare", "start"}, c.operation)
}

// rewrites reports that libvirt takes the hook's standard output, if there is
// any, for the guest's XML.
func (c hookCall) rewrites() bool { return c.operation == "migrate" || c.operation == "restore" }

// goesOnToPrepare reports that "prepare" follows with the same XML and can refuse
// the guest instead. libvirt 11.3 treats a hook that fails in "restore" as a
// success: it deletes the saved state, and starts nothing.
func (c hookCall) goesOnToPrepare() bool { return c.operation == "restore" }

// guardHook checks a command line before anything else, in case it is a hook's.
//
// A hook that fails in "reconnect" kills a guest that runs, at the restart of
// the daemon; one that fails in "started" ends one that has just started
// (hooks.rst). So an idle hook cannot fail: idle is true even if the rest of the
// line is wrong, and if "reconnect" is on a line that is not libvirt's.
//
// Otherwise guardHook puts "--" before libvirt's words, because a guest may be
// called "--verify=false".
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
	case args[len(args)-5] == "--": // the script has it already
		return args, false
	}
	return slices.Insert(slices.Clone(args), len(args)-4, "--"), false
}

// isRestore reports whether a command line, as [guardHook] returns it, is for a
// hook that must not fail.
func isRestore(args []string) bool {
	if len(args) < 2 || args[1] != hookName {
		return false
	}
	call, ok := readHookCall(args[2:])
	return ok && call.goesOnToPrepare()
}
