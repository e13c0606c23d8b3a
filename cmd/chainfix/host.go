//go:build !small

package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
)

func hostCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:        hostName,
		Usage:       hostUsage,
		Description: hostDescription,
		Subcommands: []*cli.Command{hostScanCommand(std), hostPageCommand(std), hostTreeCommand(std), hostWhoCommand(std), hostApplyCommand(std), hostRunsCommand(std), hostRollbackCommand(std)},
	}
}

// inventory returns the host that the flags select, and a function that closes it.
func (o *options) inventory(ctx context.Context, requests *limit.Requests) (host.Inventory, func() error, error) {
	if o.from != "" {
		folder := host.FolderAt(o.from)
		folder.Requests = requests
		return folder, func() error { return nil }, nil
	}
	d, err := connectTo(ctx, o.connect)
	if err != nil {
		return nil, nil, err
	}
	return d, d.Close, nil
}

// scan returns the scan that the flags describe, without its host, and the walkers
// that report afterwards which statements matched no disk. Statements of a policy
// file are reported only if no guest is named, since they are about a whole host.
func (o *options) scan(ctx context.Context, guests []string, std streams) (*host.Scan, *walkers, error) {
	w, err := o.walkers(ctx)
	if err != nil {
		return nil, nil, err
	}
	if len(guests) == 0 {
		w.watchAll()
	}
	return &host.Scan{
		Opener: w.opener, Requests: w.requests, Volumes: w.volumes, Policy: w.policy, Met: w.met,
		Targets: o.predict, Names: guests, ApplyFlags: o.repeatedFlags(),
		Warn: func(name string, err error) {
			fmt.Fprintf(std.err, "%s: warning: %s\n", shownName(name), host.Reason(err))
		},
	}, w, nil
}

// hostRun is a prepared scan.
type hostRun struct {
	*walkers
	scan      *host.Scan
	inventory host.Inventory
	progress  *progress
	end       func()
}

// beginScan prepares the scan that the flags describe.
func (o *options) beginScan(c *cli.Context, guests []string, std streams) (*hostRun, error) {
	s, w, err := o.scan(c.Context, guests, std)
	if err != nil {
		return nil, err
	}
	r := &hostRun{walkers: w, scan: s, progress: startProgress(c.Context, std, w.requests)}
	if o.from == "" {
		r.progress.say("connecting to libvirt")
	}
	inventory, end, err := o.inventory(c.Context, w.requests)
	if err != nil {
		r.progress.end()
		return nil, err
	}
	r.inventory, r.end = inventory, func() {
		end()
		r.progress.end()
	}
	if err := o.setInventory(s, inventory); err != nil {
		r.end()
		return nil, err
	}
	return r, nil
}

// setInventory sets the host of a scan. The XML is written for the host's
// libvirt; if that is unknown, for the one that the operator names, and otherwise
// for the oldest of the predicted ones.
func (o *options) setInventory(s *host.Scan, inventory host.Inventory) error {
	s.Inventory = inventory
	running := inventory.Version()
	switch {
	case running.Known() && o.target.Known() && o.target != running:
		return usageError("--target-libvirt %s: libvirt %s reads the result here; to see how the guests start on another: host scan --predict %s",
			o.target, running, o.target)
	case running.Known():
		s.Policy.Target = running
	case !s.Policy.Target.Known() && len(s.Targets) > 0:
		s.Policy.Target = slices.MinFunc(s.Targets, func(a, b libvirt.Pair) int { return a.Libvirt.Compare(b.Libvirt) }).Libvirt
	}
	return nil
}

// eachReport goes through the reports of a scan.
func eachReport(ctx context.Context, s *host.Scan, use func(*host.Report) error) error {
	for r, err := range s.Reports(ctx) {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return inputError(err)
		}
		if err := use(r); err != nil {
			return err
		}
	}
	return nil
}

// ofScan shows how many guests a scan has read. Call the function that it returns for
// each report.
func (p *progress) ofScan(s *host.Scan) (reported func()) {
	p.say("0 guests read")
	read, done, total := 0, 0, 0
	s.OnRead = func(guest string) {
		if read++; len(s.Names) == 0 || slices.Contains(s.Names, guest) {
			total++
		}
		p.say("%d guests read", read)
	}
	return func() {
		done++
		p.say("%d of %d guests examined", done, total)
	}
}
