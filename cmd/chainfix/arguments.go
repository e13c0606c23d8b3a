package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"
)

// commandLine is the parsed command line.
type commandLine struct {
	command *cli.Command // nil for the program itself
	path    []string     // the words that name the command, as "host", "scan"
	flags   []string     // each flag, followed by its value if that is a word of its own
	names   []string     // arguments that are not flags
	help    bool         // explain the command instead of running it
	version bool         // show the program's version
	implied bool         // no command was given, so it is fix
	// completes is true if a shell asks for completions; see [complete].
	completes bool
}

// readWords finds the command, its flags and its arguments. Flags may follow
// arguments, and "--" ends the flags. For the hook, whose last words are libvirt's,
// the first argument ends the flags too.
func readWords(app *cli.App, words []string) (*commandLine, error) {
	l := &commandLine{}
	if len(words) == 0 {
		return l.fix(app, nil)
	}
	switch first, rest := words[0], words[1:]; {
	case first == completeName:
		l.completes = true
		return l, nil
	case isHelp(first):
		l.help = true
		return l, nil
	case first == "help":
		l.help = true
		return l, l.find(app.Commands, nil, rest)
	case slices.Contains([]string{"-v", "--version", "-version", "version"}, first):
		l.version = true
		return l, nil
	case app.Command(first) == nil:
		return l.fix(app, words)
	}
	l.command, l.path = app.Command(words[0]), words[:1]
	words = words[1:]
	if len(l.command.Subcommands) == 0 {
		return l, l.read(words)
	}
	switch {
	case len(words) == 0 || isHelp(words[0]):
		l.help = true
		return l, nil
	case words[0] == "help":
		l.help = true
		return l, l.find(l.command.Subcommands, l.path, words[1:])
	}
	if strings.HasPrefix(words[0], "-") {
		return nil, seeHelp(l.path, usageError("put the flags of %s after its command", l.command.Name))
	}
	if err := l.find(l.command.Subcommands, l.path, words[:1]); err != nil {
		return nil, err
	}
	return l, l.read(words[1:])
}

func isHelp(word string) bool { return slices.Contains([]string{"-h", "--help", "-help"}, word) }

// fix reads a command line that names no command: it is fix.
func (l *commandLine) fix(app *cli.App, words []string) (*commandLine, error) {
	l.command, l.path, l.implied = app.Command("fix"), []string{"fix"}, true
	err := l.read(words)
	if err == nil && (len(l.names) < 2 || l.takesSeveral()) {
		return l, nil
	}
	// Probably another command was meant.
	known := commandNames(app.Commands)
	for _, word := range words {
		if slices.Contains(known, word) {
			return l, seeHelp([]string{word}, usageError("the command %q must come first", word))
		}
	}
	if len(l.names) > 0 {
		if near := meantCommand(app, l.names[0]); near != nil {
			return l, meantThis(near, "", usageError("no command is called %q; did you mean %q?", l.names[0], strings.Join(near, " ")))
		}
	}
	return l, err
}

// meantCommand returns the command that was probably meant by an unknown word: one with
// a similar spelling, or a subcommand such as "scan". It returns nil if no command is
// close.
func meantCommand(app *cli.App, typed string) []string {
	if near := nearest(typed, commandNames(app.Commands)); near != "" {
		return []string{near}
	}
	for _, c := range app.Commands {
		if slices.Contains(commandNames(c.Subcommands), typed) {
			return []string{c.Name, typed}
		}
	}
	return nil
}

// takesSeveral reports whether a flag lets fix take several documents.
func (l *commandLine) takesSeveral() bool {
	known := flagsOf(rewriteFlags())
	return slices.ContainsFunc(l.flags, func(word string) bool {
		return slices.ContainsFunc(known, func(f cli.Flag) bool { return isFlag(f, word) })
	})
}

// find descends from the command at path to the one that the words name.
func (l *commandLine) find(commands []*cli.Command, path, words []string) error {
	for _, word := range words {
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(word) })
		if i < 0 {
			of := strings.Join(append([]string{"chainfix"}, path...), " ")
			near := nearest(word, commandNames(commands))
			if near == "" {
				return seeHelp(path, usageError("%s has no command %q", of, word))
			}
			return meantThis(append(slices.Clone(path), near), "", usageError("%s has no command %q; did you mean %q?", of, word, near))
		}
		l.command, path = commands[i], append(slices.Clone(path), word)
		l.path, commands = path, l.command.Subcommands
	}
	return nil
}

func commandNames(commands []*cli.Command) []string {
	var names []string
	for _, c := range commands {
		names = append(names, c.Name)
	}
	return names
}

// read separates the flags of the command from its arguments.
func (l *commandLine) read(words []string) error {
	for len(words) > 0 {
		word := words[0]
		switch {
		case word == "--":
			l.names = append(l.names, words[1:]...)
			return nil
		case len(word) > 1 && word[0] == '-':
			taken, err := l.readFlag(words)
			if err != nil {
				return err
			}
			words = words[taken:]
			continue
		case l.command.Name == hookName:
			l.names = words
			return nil
		}
		l.names, words = append(l.names, word), words[1:]
	}
	return nil
}

// readFlag takes a flag and its value from the words, and returns how many words it took.
func (l *commandLine) readFlag(words []string) (taken int, err error) {
	if isHelp(words[0]) {
		l.help = true
		return 1, nil
	}
	valued := strings.Contains(words[0], "=")
	i := slices.IndexFunc(l.command.Flags, func(f cli.Flag) bool { return isFlag(f, words[0]) })
	if i < 0 {
		return 0, l.noFlag(words[0])
	}
	taken = 1
	if takes := l.command.Flags[i].(cli.DocGenerationFlag).TakesValue(); takes && !valued {
		if taken = 2; len(words) < taken {
			return 0, seeHelp(l.path, usageError("%s needs a value", words[0]))
		}
	}
	l.flags = append(l.flags, words[:taken]...)
	return taken, nil
}

// isFlag reports whether a word is a flag, with its value or without.
func isFlag(f cli.Flag, word string) bool {
	name, _, _ := strings.Cut(word, "=")
	return slices.ContainsFunc(f.Names(), func(known string) bool { return name == "-"+known || name == "--"+known })
}

// noFlag is the error about a word that looks like a flag.
func (l *commandLine) noFlag(word string) error {
	name, _, _ := strings.Cut(word, "=") // the value may be a password
	command := strings.Join(l.path, " ")
	var known []string
	for _, f := range l.command.Flags {
		known = append(known, f.Names()[0])
	}
	if near := nearest(strings.TrimLeft(name, "-"), known); near != "" {
		return meantThis(l.path, near, usageError("%s has no flag %q; did you mean --%s?", command, name, near))
	}
	return seeHelp(l.path, usageError("%s has no flag %q (put \"--\" before a name that begins with a dash)", command, name))
}

// arguments returns the command line as cli wants it: flags first.
func (l *commandLine) arguments(program string) []string {
	return slices.Concat([]string{program}, l.path, l.flags, []string{"--"}, l.names)
}

// nearest returns the known word that was probably meant by the typed one, or "" if
// none is similar. A word is similar if it begins with the typed one, has the same
// letters in another order, or differs in one letter, or in a quarter of them.
func nearest(typed string, known []string) string {
	const least = 3 // letters of a beginning
	found, fewest := "", (len(typed)+2)/4+1
	for _, word := range known {
		switch d := smetrics.WagnerFischer(typed, word, 1, 1, 1); {
		case d < fewest:
			found, fewest = word, d
		case found == "" && len(typed) >= least && (strings.HasPrefix(word, typed) || sameLetters(word, typed)):
			found = word
		}
	}
	return found
}

func sameLetters(a, b string) bool {
	x, y := []byte(a), []byte(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}
