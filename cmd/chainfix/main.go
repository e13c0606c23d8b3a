// Chainfix writes the full backing chain of a libvirt guest into its XML, so that
// libvirt never has to guess an image format.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
)

func main() {
	status := run(context.Background(), os.Args, streams{os.Stdin, standardOutput(), os.Stderr})
	// Some file systems say only now that there is no room.
	if err := os.Stdout.Close(); err != nil && status != exitInput {
		fmt.Fprintln(os.Stderr, "chainfix: cannot write to standard output: "+unwrapPath(err).Error())
		status = exitInput
	}
	os.Exit(status)
}

// streams are the standard streams of one run.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// run is the whole program but for the end of the process: it returns the exit
// status.
func run(ctx context.Context, args []string, std streams) int {
	args, idle := guardHook(args)
	if idle {
		return exitDone
	}
	out := &output{w: std.out}
	std.out = out
	app := newApp(std)
	err := app.RunContext(ctx, withCommand(app, args))
	if out.err != nil {
		err = inputError(out.err)
	}
	if err == nil {
		return exitDone
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(std.err, "chainfix: "+text)
	}
	return statusOf(err)
}
