//go:build !small

package main

import (
	"context"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/completion"
)

// complete answers a completion script. A malformed request gets no candidates.
func complete(ctx context.Context, app *cli.App, args []string) string {
	switch {
	case len(args) == 3 && args[0] == "bash":
		line := completion.ReadLine(args[2], args[1])
		if line.Redirects {
			return completion.Reply{Kind: completion.Files}.String()
		}
		return candidates(ctx, app, line.Words, line.Current).ForBash(line)
	case len(args) > 2:
		return candidates(ctx, app, args[1:len(args)-1], args[len(args)-1]).String()
	}
	return ""
}

// typedLine is an incomplete command line.
type typedLine struct {
	app     *cli.App
	command *cli.Command      // nil if not named yet
	flags   map[string]string // the flags so far, by their long names, with their values
	names   []string          // arguments that are not flags
	ended   bool              // no more flags come
	pending cli.Flag          // the word at the cursor is its value
	current string            // the word at the cursor, up to the cursor
}

// candidates returns the completions at the cursor, after the words.
func candidates(ctx context.Context, app *cli.App, words []string, current string) completion.Reply {
	t := &typedLine{app: app, flags: make(map[string]string), current: current}
	words = words[min(1, len(words)):]
	if len(words) == 0 {
		return t.first(ctx)
	}
	if words[0] == "help" {
		return commandValues(descend(app.Commands, words[1:]))
	}
	command := app.Command(words[0])
	switch {
	case command == nil:
		command = app.Command("fix")
	case len(command.Subcommands) == 0:
		words = words[1:]
	case len(words) == 1:
		return commandValues(command.Subcommands, helpValue)
	case words[1] == "help":
		return commandValues(descend(command.Subcommands, words[2:]))
	default:
		name := words[1]
		i := slices.IndexFunc(command.Subcommands, func(c *cli.Command) bool { return c.HasName(name) })
		if i < 0 {
			return completion.Reply{Kind: completion.Words}
		}
		command, words = command.Subcommands[i], words[2:]
	}
	t.command = command
	t.read(words)
	return t.next(ctx)
}

// descend returns the commands that may follow the words.
func descend(commands []*cli.Command, words []string) []*cli.Command {
	for _, word := range words {
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(word) })
		if i < 0 {
			return nil
		}
		commands = commands[i].Subcommands
	}
	return commands
}

var (
	helpValue    = completion.Value{Text: "help", About: "explain a command"}
	versionValue = completion.Value{Text: "version", About: "print the version"}
	helpFlag     = completion.Value{Text: "--help", About: "explain the command"}
)

func commandValues(commands []*cli.Command, more ...completion.Value) completion.Reply {
	r := completion.Reply{Kind: completion.Words}
	for _, c := range commands {
		r.Values = append(r.Values, completion.Value{Text: c.Name, About: c.Usage})
	}
	r.Values = append(r.Values, more...)
	return r
}

// first is the first word: a command, or what fix takes, which needs no name.
func (t *typedLine) first(ctx context.Context) completion.Reply {
	commands := commandValues(t.app.Commands, helpValue, versionValue)
	if slices.ContainsFunc(commands.Values, func(v completion.Value) bool { return strings.HasPrefix(v.Text, t.current) }) {
		return commands
	}
	t.command = t.app.Command("fix")
	return t.next(ctx)
}

// read parses the words before the cursor, which may be wrong.
func (t *typedLine) read(words []string) {
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch {
		case t.ended || len(word) < 2 || word[0] != '-':
			t.names = append(t.names, word)
			t.ended = t.ended || t.command.Name == hookName
			continue
		case word == "--":
			t.ended = true
			continue
		}
		f := t.flag(word)
		if f == nil {
			continue
		}
		_, value, valued := strings.Cut(word, "=")
		if takes := f.(cli.DocGenerationFlag).TakesValue(); takes && !valued {
			if i++; i == len(words) {
				t.pending = f
				return
			}
			value = words[i]
		}
		t.flags[f.Names()[0]] = value
	}
}

// flag returns the command's flag that the word is, or nil.
func (t *typedLine) flag(word string) cli.Flag {
	i := slices.IndexFunc(t.command.Flags, func(f cli.Flag) bool { return isFlag(f, word) })
	if i < 0 {
		return nil
	}
	return t.command.Flags[i]
}

// next returns the completions at the cursor.
func (t *typedLine) next(ctx context.Context) completion.Reply {
	name, value, valued := strings.Cut(t.current, "=")
	switch {
	case t.pending != nil:
		return t.values(ctx, describeFlag(t.pending).value, "", t.current)
	case !t.ended && valued && len(name) > 1 && name[0] == '-':
		f := t.flag(name)
		if f == nil {
			return completion.Reply{Kind: completion.Words}
		}
		return t.values(ctx, describeFlag(f).value, name+"=", value)
	case !t.ended && strings.HasPrefix(t.current, "-"):
		return t.flagValues()
	}
	wanted := strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(t.command.ArgsUsage))
	at := len(t.names)
	if n := len(wanted); n > 0 && strings.HasSuffix(wanted[n-1], "...") {
		at = min(at, n-1)
	}
	if at >= len(wanted) {
		// Only flags may follow.
		return t.flagValues()
	}
	return t.values(ctx, strings.TrimSuffix(wanted[at], "..."), "", t.current)
}

// flagValues are the flags of the command that may still be given.
func (t *typedLine) flagValues() completion.Reply {
	r := completion.Reply{Kind: completion.Words}
	if t.ended {
		return r
	}
	for _, f := range t.command.Flags {
		d := describeFlag(f)
		_, given := t.flags[d.long]
		if _, repeats := f.(stringSliceFlag); !given || repeats {
			r.Values = append(r.Values, completion.Value{Text: "--" + d.long, About: d.text})
		}
	}
	r.Values = append(r.Values, helpFlag)
	return r
}
