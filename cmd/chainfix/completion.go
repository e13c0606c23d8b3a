package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/completion"
)

// completionCommand prints a completion script. cli's own script would evaluate what
// was typed.
func completionCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:        "completion",
		Usage:       "print a shell's completion script, for commands, flags, guests and other values",
		ArgsUsage:   strings.Join(completion.Shells(), "|"),
		Description: completionDescription,
		Action: func(c *cli.Context) error {
			if err := atMost(c, 1, "one shell"); err != nil {
				return err
			}
			known := strings.Join(completion.Shells(), ", ")
			if c.NArg() == 0 {
				return seeHelp(pathOf(c), usageError("completion needs the name of a shell: %s", known))
			}
			script := completion.Script(c.Args().First())
			if script == nil {
				return seeHelp(pathOf(c), usageError("no completion for %q, only for %s", c.Args().First(), known))
			}
			return write(std.out, script)
		},
	}
}

// completeName is the internal command that the scripts of [completionCommand] call.
// Its arguments differ from those of other commands:
//
//	__complete bash BREAKS LINE       the line up to the cursor
//	__complete zsh|fish WORD...       the words up to the cursor, the program's name first
const completeName = "__complete"
