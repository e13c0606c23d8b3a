// Chainfix makes the backing chains of libvirt guests explicit, so that nobody
// guesses an image format.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args, streams{os.Stdin, os.Stdout, os.Stderr}))
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
	app := newApp(std)
	err := app.RunContext(ctx, withCommand(app, args))
	if err == nil {
		return exitDone
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(std.err, "chainfix: "+text)
	}
	return statusOf(err)
}
