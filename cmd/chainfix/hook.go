package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"
)

// hookCommand is what a qemu hook script of libvirt's runs. It never calls
// libvirt, which waits for its end with the guest locked, and has no --network,
// so that no server can make it wait.
func hookCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:      hookName,
		Usage:     "make chains explicit, or verify them, as a hook of libvirt's; XML on standard input",
		ArgsUsage: "GUEST OPERATION SUB-OPERATION EXTRA",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "verify", Usage: "fail where a chain is refused: the guest does not start, arrive or get restored"},
			&cli.StringFlag{Name: "log", Usage: "append everything that there is to say to `FILE`; libvirt shows it only if the hook fails"},
		}, statementFlags()...),
		Action: func(c *cli.Context) error { return hook(c, std) },
	}
}

func hook(c *cli.Context, std streams) error {
	if c.NArg() != 4 {
		return usageError("hook takes the four words of libvirt (GUEST OPERATION SUB-OPERATION EXTRA), not %q", c.Args().Slice())
	}
	call, _ := readHookCall(c.Args().Slice())
	verify := c.Bool("verify")
	if call.idle() || !call.rewrites() && !verify {
		return nil
	}
	journal := hookJournal{path: c.String("log"), call: call, err: std.err}
	explicit, err := explicitFor(c, call, std.in, journal)
	switch {
	case err == nil && (explicit == nil || !call.rewrites()):
		return nil
	case err == nil:
		journal.note("every chain is explicit now")
		return write(std.out, explicit)
	case statusOf(err) == exitUsage:
		return err
	case verify && !errors.Is(err, errNotYet):
		journal.note("refused: " + err.Error())
		return err
	}
	journal.note("the XML is left as it is: " + err.Error())
	fmt.Fprintf(std.err, "chainfix: warning: the XML is left as it is: %v\n", err)
	return nil
}
