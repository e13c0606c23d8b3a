//go:build !small

package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

// exitUsed is the status of host who if a guest uses the image, exitUnknown if that cannot
// be determined.
const (
	exitUsed    = exitChange
	exitUnknown = exitRefused
)

func hostWhoCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:        "who",
		Usage:       "report which guests use an image, for scripts that delete images",
		ArgsUsage:   "IMAGE",
		Description: whoDescription,
		Flags:       flagsOf(connectFlags(), fromFlags(), outputFlags(), outFlags(), jobsFlags(), policyFlags()),
		Action:      func(c *cli.Context) error { return toOut(c, std, hostWho) },
	}
}

func hostWho(c *cli.Context, std streams) error {
	if c.NArg() != 1 {
		return seeHelp(pathOf(c), usageError("who needs one IMAGE"))
	}
	o, err := optionsOf(c)
	if err != nil {
		return err
	}
	image, err := whoImage(c.Args().First())
	if err != nil {
		return err
	}
	run, err := o.beginScan(c, nil, std)
	if err != nil {
		return err
	}
	defer run.end()
	run.progress.ofScan(run.scan)
	usage, err := run.scan.Who(c.Context, image)
	if errors.Is(err, host.ErrNoDefinitions) {
		return withHint(inputError(err), emptyFolderHint(c.Context, o.from, run.requests))
	}
	if err != nil {
		return inputError(err)
	}
	who := whoOf(image, usage)
	if o.json {
		err = printJSON(std.out, who)
	} else {
		err = write(std.out, []byte(whoText(who)))
	}
	if err != nil {
		return err
	}
	switch who.Answer {
	case report.Somebody:
		return ended(exitUsed)
	case report.NotKnown:
		return ended(exitUnknown)
	}
	return nil
}

// whoImage returns the name of the image from the command line.
func whoImage(name string) (string, error) {
	dir, _ := os.Getwd()
	image, err := chain.ParseImageName(name, dir)
	var relative *chain.RelativePathError
	switch {
	case errors.As(err, &relative) && strings.Contains(relative.Absolute+relative.Path, ".."):
		// If the working directory was reached through a symlink, ".." is not the folder
		// that holds the symlink: leave it to the kernel.
		return dir + "/" + relative.Path, nil
	case errors.As(err, &relative) && relative.Absolute != "":
		// This is unambiguous.
		return relative.Absolute, nil
	case err != nil:
		return "", usageError("IMAGE: %w", err)
	}
	return image, nil
}

// whoOf turns the result of a search into a report.
func whoOf(image string, usage *host.Usage) *report.Who {
	who := &report.Who{Schema: report.WhoSchema, Image: storage.Shown(image), Names: []string{}, Exists: usage.Exists, Answer: report.Nobody,
		Guests: usage.Guests, Uses: []report.Use{}, Doubts: []report.UseDoubt{}}
	for _, name := range usage.Names {
		who.Names = append(who.Names, storage.Shown(name))
	}
	for _, u := range usage.Uses {
		who.Uses = append(who.Uses, report.Use{Guest: u.Guest, UUID: u.UUID, Disk: u.Disk, As: u.As, Writes: u.Writes, In: u.In})
	}
	for _, d := range usage.Doubts {
		who.Doubts = append(who.Doubts, report.UseDoubt{Guest: d.Guest, Disk: d.Disk, In: d.In, Text: d.Why, Hint: d.Hint})
	}
	switch {
	case len(who.Uses) > 0:
		who.Answer = report.Somebody
	case len(who.Doubts) > 0:
		who.Answer = report.NotKnown
	}
	return who
}

// whoText returns the report as text.
func whoText(who *report.Who) string {
	var b strings.Builder
	image := strconv.Quote(who.Image)
	looked := fmt.Sprintf("%d guests", who.Guests)
	if who.Guests == 1 {
		looked = "1 guest"
	}
	switch who.Answer {
	case report.Somebody:
		fmt.Fprintf(&b, "%s is in use (%s checked):\n", image, looked)
	case report.NotKnown:
		fmt.Fprintf(&b, "cannot tell whether %s is in use; no guest is known to use it (%s checked)\n", image, looked)
	default:
		fmt.Fprintf(&b, "no guest uses %s (%s checked)\n", image, looked)
	}
	if who.Exists != nil && !*who.Exists {
		b.WriteString("the image does not exist; it was searched for by name\n")
	}
	for _, u := range who.Uses {
		fmt.Fprintf(&b, "  %s: %s", diskPlace(u.Guest, u.Disk), u.As)
		if u.Writes {
			b.WriteString(", writes to it")
		}
		fmt.Fprintf(&b, " (%s)\n", strings.Join(u.In, ", "))
	}
	if len(who.Doubts) > 0 && who.Answer == report.Somebody {
		b.WriteString("there may be more:\n")
	}
	for _, d := range who.Doubts {
		b.WriteString("  ")
		if d.Guest != "" {
			b.WriteString(diskPlace(d.Guest, d.Disk) + ": ")
		}
		b.WriteString(d.Text)
		if len(d.In) > 0 {
			fmt.Fprintf(&b, " (%s)", strings.Join(d.In, ", "))
		}
		b.WriteString("\n")
		if d.Hint != "" {
			fmt.Fprintf(&b, "    hint: %s\n", d.Hint)
		}
	}
	return b.String()
}

// diskPlace names a disk of a guest, or with "" the guest.
func diskPlace(guest, disk string) string {
	if disk == "" {
		return strconv.Quote(guest)
	}
	return strconv.Quote(guest) + " " + strconv.Quote(disk)
}
