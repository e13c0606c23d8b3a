package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/xmlfix"
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
	explicit, err := explicitFor(call, c, std.in, journal)
	switch {
	case err != nil && statusOf(err) == exitUsage:
		return err
	case err != nil && verify:
		journal.note("refused: " + err.Error())
		return err
	case err != nil:
		journal.note("the XML is left as it is: " + err.Error())
		fmt.Fprintf(std.err, "chainfix: warning: the XML is left as it is: %v\n", err)
		return nil
	case explicit == nil || !call.rewrites():
		return nil
	}
	journal.note("every chain is explicit now")
	return write(std.out, explicit)
}

// explicitFor reads a guest's XML and returns it with every chain explicit; nil
// if that is what it says already. The error is one line.
func explicitFor(call hookCall, c *cli.Context, stdin io.Reader, journal hookJournal) ([]byte, error) {
	newWalker, err := walkersOf(c)
	if err != nil {
		return nil, err
	}
	data, err := inputOf("-").read(stdin)
	if err != nil {
		return nil, inputError(err)
	}
	doc, err := xmlfix.Parse(stdinName, data)
	if err != nil {
		status := exitInput
		if errors.Is(err, xmlfix.ErrAmbiguous) {
			status = exitRefused
		}
		f, _ := problemFinding(err)
		return nil, &statusError{status, errors.New(inOneLine(f))}
	}
	walker := newWalker()
	var refused []string
	for _, disk := range doc.Disks() {
		findings, err := explicitDisk(call, c, walker, disk)
		if err != nil {
			return nil, inputError(err)
		}
		stated, _ := disk.Stated()
		for _, f := range findings {
			text := "disk " + strconv.Quote(stated.Target) + ": " + inOneLine(f)
			switch f.Severity {
			case chain.Warn:
				journal.note(text)
			case chain.Refuse:
				journal.note(text)
				refused = append(refused, text)
			}
		}
	}
	switch {
	case len(refused) > 1:
		return nil, &statusError{exitRefused, fmt.Errorf("%s (and %d more)", refused[0], len(refused)-1)}
	case len(refused) == 1:
		return nil, &statusError{exitRefused, errors.New(refused[0])}
	case !doc.Changed():
		return nil, nil
	}
	explicit, err := doc.Bytes()
	if err != nil {
		return nil, inputError(err)
	}
	return explicit, nil
}

// explicitDisk walks the chain of one disk, queues the edits that make it
// explicit, and returns the findings. The error is for a run that was cut short.
func explicitDisk(call hookCall, c *cli.Context, walker *chain.Walker, disk *xmlfix.Disk) ([]chain.Finding, error) {
	refuse := func(err error) ([]chain.Finding, error) {
		f, _ := problemFinding(err)
		return []chain.Finding{f}, nil
	}
	stated, err := disk.Stated()
	if err != nil {
		return refuse(err)
	}
	// In "prepare" the XML has an id already, but libvirt has detected nothing
	// yet (9.0, qemuProcessInit); in "migrate" and "restore" it leaves out what
	// the other side had detected (9.0, virDomainDefCopy). What is there was
	// stated, or, if somebody made the XML of a save image from a running
	// guest's, is what the guest ran with.
	stated.Live = false
	found, err := walker.Walk(c.Context, stated)
	if err != nil {
		return nil, err
	}
	findings := found.Findings
	if found.Verdict != chain.Fixable || !call.rewrites() {
		return findings, nil
	}
	if f, err := ranOtherwise(c.Context, walker, stated); err != nil {
		return nil, err
	} else if f != nil {
		return append(findings, *f), nil
	}
	if err := disk.SetChain(found); err != nil {
		return refuse(err)
	}
	return findings, nil
}

// inOneLine is all that a finding says in a line, because libvirt puts what a
// failing hook says into the middle of its own message.
func inOneLine(f chain.Finding) string {
	line := f.Text
	if f.Code != "" {
		line = "[" + string(f.Code) + "] " + line
	}
	if f.Hint != "" {
		line += "; hint: " + f.Hint
	}
	return strings.ReplaceAll(line, "\n", " ")
}

// hookJournal is the file for what a hook has to say: libvirt 9.0 drops the
// standard error of a hook that succeeds, but for its debug log.
type hookJournal struct {
	path string // "" for none
	call hookCall
	err  io.Writer
}

// note appends a line. That it cannot is no reason to fail.
func (j hookJournal) note(text string) {
	if j.path == "" {
		return
	}
	line := fmt.Sprintf("%s guest %q, %s %s: %s\n", time.Now().UTC().Format(time.RFC3339), j.call.guest, j.call.operation, j.call.subOperation, text)
	file, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NONBLOCK|unix.O_NOCTTY, 0o600)
	if err == nil {
		_, err = io.WriteString(file, line)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		fmt.Fprintf(j.err, "chainfix: warning: cannot write to %q: %v\n", j.path, unwrapPath(err))
	}
}
