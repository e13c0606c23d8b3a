package main

import (
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// The help fits into 80 columns. The texts of flags begin in one column, on a line of
// their own if the flag is too long.
const (
	helpColumns = 80
	flagColumn  = 24
)

// flagSections are the headings of the flags in the help, in this order.
var flagSections = []struct {
	title string
	flags []string
}{
	{"Where the result goes", []string{"diff", "list", "write"}},
	{"What happens to the folder", []string{"keep"}},
	{"Which guests", []string{"connect", "from"}},
	{"What to change", []string{"all", "snapshots", "saved", "dry-run", "yes", "state-dir"}},
	{"What to show", []string{"verbose", "quiet", "only", "severity", "color"}},
	{"Output", []string{"output", "out", "predict", "draft-policy", "rebase-script", "log", "log-format"}},
	{"What to refuse", []string{"verify", "no-guard"}},
	{"Image formats", []string{"rule", "trust", "policy", "refresh", "keep-xml"}},
	{"Target libvirt and storage pools", []string{"target-libvirt", "pools"}},
	{"Reading images", []string{"network", "qemu-img", "jobs", "timeout"}},
}

// otherFlags is the heading of all other flags.
const otherFlags = "Other flags"

// helpText returns the help of a command, or of the program if it is nil.
func helpText(app *cli.App, command *cli.Command, path []string) string {
	var b strings.Builder
	if command == nil {
		fmt.Fprintf(&b, "chainfix: %s\n\n  %s\n\n%s", app.Usage, app.UsageText, appDescription)
		writeCommands(&b, nil, app.Commands)
		return b.String()
	}
	fmt.Fprintf(&b, "%s\n\n  %s\n", wrapped(commandName(path)+": "+command.Usage, 0), usageLine(command, path))
	if command.Description != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(command.Description))
	}
	writeCommands(&b, path, command.Subcommands)
	left := slices.Clone(command.Flags)
	for _, section := range flagSections {
		var here []cli.Flag
		for _, name := range section.flags {
			if i := slices.IndexFunc(left, func(f cli.Flag) bool { return f.Names()[0] == name }); i >= 0 {
				here, left = append(here, left[i]), slices.Delete(left, i, i+1)
			}
		}
		writeFlags(&b, section.title, here)
	}
	writeFlags(&b, otherFlags, left)
	return b.String()
}

// commandName returns a command as the user types it.
func commandName(path []string) string {
	return strings.Join(append([]string{"chainfix"}, path...), " ")
}

// usageLine returns the usage of a command.
func usageLine(command *cli.Command, path []string) string {
	usage := commandName(path)
	switch {
	case len(command.Subcommands) > 0:
		usage += " COMMAND"
	case len(command.Flags) > 0:
		usage += " [flags]"
	}
	return strings.TrimSpace(usage + " " + command.ArgsUsage)
}

// briefHelp returns a few lines about the command at path, or about one of its flags.
func briefHelp(app *cli.App, path []string, flag string) string {
	command := app.Command(path[0])
	for _, word := range path[1:] {
		command = command.Subcommands[slices.IndexFunc(command.Subcommands, func(c *cli.Command) bool { return c.HasName(word) })]
	}
	var b strings.Builder
	fmt.Fprintf(&b, "usage: %s\n", usageLine(command, path))
	if flag == "" {
		fmt.Fprintf(&b, "  %s\n", wrapped(command.Usage, 2))
		return b.String()
	}
	i := slices.IndexFunc(command.Flags, func(f cli.Flag) bool { return f.Names()[0] == flag })
	writeFlag(&b, command.Flags[i])
	return b.String()
}

// writeCommands lists the subcommands of the command at path.
func writeCommands(b *strings.Builder, path []string, commands []*cli.Command) {
	if len(commands) == 0 {
		return
	}
	b.WriteString("\nCommands:\n")
	for _, c := range commands {
		writeRow(b, "  "+c.Name, c.Usage, 2+len("completion")+2)
	}
	fmt.Fprintf(b, "\n%s COMMAND --help explains a command.\n", commandName(path))
}

func writeFlags(b *strings.Builder, title string, flags []cli.Flag) {
	if len(flags) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s:\n", title)
	for _, f := range flags {
		writeFlag(b, f)
	}
}

func writeFlag(b *strings.Builder, f cli.Flag) {
	d := describeFlag(f)
	if d.usual != "" {
		d.text += " (default: " + d.usual + ")"
	}
	writeRow(b, d.label(), d.text, flagColumn)
}

// describedFlag is what the help says about a flag.
type describedFlag struct {
	long, short string // its names; short may be ""
	value       string // the placeholder of its value, such as FILE; "" if it takes none
	text        string // what it does
	usual       string // its default; "" for none
}

func describeFlag(f cli.Flag) describedFlag {
	doc := f.(cli.DocGenerationFlag)
	d := describedFlag{long: f.Names()[0], text: doc.GetUsage()}
	if names := f.Names(); len(names) > 1 {
		d.short = names[1]
	}
	if !doc.TakesValue() {
		return d
	}
	d.value, d.text = flag.UnquoteUsage(&flag.Flag{Usage: doc.GetUsage()})
	d.text = strings.Replace(d.text, ": "+d.value, "", 1) // it is shown next to the name
	d.usual = strings.Trim(doc.GetDefaultText(), `"`)
	return d
}

// label is the flag with its names and its value, as the help shows it.
func (d describedFlag) label() string {
	label := "      --" + d.long
	if d.short != "" {
		label = "  -" + d.short + ", --" + d.long
	}
	return strings.TrimSuffix(label+" "+d.value, " ")
}

// writeRow writes a label, and a text that begins in a column.
func writeRow(b *strings.Builder, label, text string, column int) {
	text = wrapped(text, column)
	if len(label)+2 > column {
		fmt.Fprintf(b, "%s\n%*s%s\n", label, column, "", text)
		return
	}
	fmt.Fprintf(b, "%-*s%s\n", column, label, text)
}

// wrapped breaks a text into lines that fit after a margin, which all lines but the first
// get.
func wrapped(text string, margin int) string {
	var b strings.Builder
	column := margin
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case column+1+len(word) > helpColumns:
			fmt.Fprintf(&b, "\n%*s", margin, "")
			column = margin
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}
