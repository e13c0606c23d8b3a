package main

import (
	"slices"
	"strings"
)

const hookName = "hook"

// hookCall is what libvirt says of the moment at which it runs a hook script:
// the four words that it appends to the script's command line (hooks.rst).
type hookCall struct {
	guest, operation, subOperation, extra string
}

// subOperations are all that libvirt knows (virhook.c of 9.0 and 11.3).
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

// guardHook looks at a command line before anything else does, in case that it
// is a hook's.
//
// A hook that fails in "reconnect" kills a guest that runs, at the restart of
// the daemon; one that fails in "started" ends one that has just started
// (hooks.rst). So where there is nothing to do, nothing can fail: idle is true
// even if the rest of the line is wrong, and where "reconnect" is on a line that
// is not libvirt's.
//
// Otherwise libvirt's words come back behind "--", because a guest may be called
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
