// Chainfix writes the full backing chain of a libvirt guest into its XML, so that
// libvirt never has to guess an image format.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

func main() {
	signals := endingSignals()
	ctx, cancel := context.WithCancelCause(readingApart(context.Background()))
	std := onTerminal(streams{os.Stdin, standardOutput(), os.Stderr}, os.Getenv("TERM"))
	done := make(chan int, 1)
	go func() {
		status := run(ctx, os.Args, std)
		done <- closeStreams(std, status)
	}()
	status, i, ended := await(done, signals, cancel, echo, grace)
	if i == nil {
		answer(status)
		os.Exit(status)
	}
	if !ended {
		runWithin(grace, func() {
			fmt.Fprintln(std.err, "chainfix: "+i.Error())
			closeStreams(std, exitInput)
		})
	}
	dieOf(i.signal)
}

// closeStreams closes the output streams and returns the exit status, which changes if
// the output could not be written. A reader of the streams then need not wait for the
// process to end, which the kernel delays while one of its threads hangs.
func closeStreams(std streams, status int) int {
	// Some file systems report only now that they are full.
	if err := os.Stdout.Close(); err != nil && status != exitInput {
		fmt.Fprintln(std.err, "chainfix: cannot write to standard output: "+unwrapPath(err).Error())
		status = exitInput
	}
	os.Stderr.Close()
	return status
}

// streams are the standard streams of one run.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// run is the whole program except the end of the process: it returns the exit
// status.
func run(ctx context.Context, args []string, std streams) int {
	args, idle := guardHook(args)
	if idle {
		return exitDone
	}
	out := &output{w: std.out}
	std.out = out
	err := runCommand(ctx, args, std)
	if out.err != nil {
		err = inputError(out.err)
	}
	if cause := interrupted(ctx); cause != nil && !errors.Is(err, cause) {
		err = inputError(cause)
	}
	if err == nil {
		return exitDone
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(std.err, "chainfix: "+text)
		if m := new(meant); errors.As(err, &m) {
			io.WriteString(std.err, briefHelp(newApp(std), m.path, m.flag))
		}
		printHint(std.err, hintOf(err))
	}
	status := statusOf(err)
	if status == exitUsage && isRestore(args) {
		return exitDone
	}
	return status
}

// runCommand runs the command line.
func runCommand(ctx context.Context, args []string, std streams) error {
	app := newApp(std)
	line, err := readWords(app, args[1:])
	if err != nil {
		line = nil
	}
	if err := handOver(line, args); err != nil {
		return err
	}
	switch {
	case err != nil:
		return err
	case line.completes:
		return write(std.out, []byte(complete(ctx, app, args[2:])))
	case line.version:
		return write(std.out, []byte(versionText()))
	case line.help:
		return write(std.out, []byte(helpText(app, line.command, line.path)))
	}
	if documents := []string{"fix", "check", "strip"}; len(line.names) == 0 && slices.Contains(documents, line.command.Name) && isTerminal(std.in) {
		// Standard output is for documents.
		if line.implied {
			line.command = nil
		}
		fmt.Fprint(std.err, helpText(app, line.command, line.path))
		return ended(exitUsage)
	}
	err = app.RunContext(ctx, line.arguments(args[0]))
	if line.implied && len(line.names) > 0 && errors.Is(err, fs.ErrNotExist) {
		if near := meantCommand(app, line.names[0]); near != nil {
			err = meantThis(near, "", fmt.Errorf("%w; did you mean the command %q?", err, strings.Join(near, " ")))
		}
	}
	return err
}
