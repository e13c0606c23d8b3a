//go:build !small

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/page"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/xmlfix"
)

// fleetSchema is the name and version of the report on many hosts, which the Ansible role writes.
const fleetSchema = "chainfix/hosts/v1"

// fleetJSON is the part of that report that a page needs.
type fleetJSON struct {
	Hosts map[string]struct {
		Error string       `json:"error"`
		Scan  *report.Host `json:"scan"`
	} `json:"hosts"`
}

func hostPageCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:        "page",
		Usage:       "make one HTML page from the JSON reports of many hosts",
		ArgsUsage:   "[FILE...]",
		Description: pageDescription,
		Flags:       flagsOf(outFlags()),
		Action:      func(c *cli.Context) error { return toOut(c, std, hostPage) },
	}
}

func hostPage(c *cli.Context, std streams) error {
	args := c.Args().Slice()
	if len(args) == 0 {
		args = []string{"-"}
	}
	var hosts []page.Host
	for _, arg := range args {
		in := inputOf(arg)
		data, err := reader{stdin: std.in, reports: true}.read(c.Context, in)
		if err != nil {
			return inputError(err)
		}
		these, err := scannedHosts(data)
		if err != nil {
			failed := fmt.Errorf("%s: %w", shownName(in.name), err)
			if len(data) == 0 && in.path == "" {
				return inputError(withHint(failed, nothingCameIn))
			}
			return inputError(failed)
		}
		hosts = append(hosts, these...)
	}
	if len(hosts) == 0 {
		return inputError(errors.New("these reports contain no host"))
	}
	return writeError(page.Write(std.out, hosts...))
}

// scannedHosts are those of a report on one host, or on many.
func scannedHosts(data []byte) ([]page.Host, error) {
	if len(data) > xmlfix.MaxInput {
		return nil, fmt.Errorf("it has more than %d bytes", xmlfix.MaxInput)
	}
	var kind struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(data, &kind); err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	switch kind.Schema {
	case report.HostSchema:
		var h report.Host
		if err := json.Unmarshal(data, &h); err != nil {
			return nil, err
		}
		return []page.Host{{Report: &h}}, whyNoPage(&h)
	case fleetSchema:
		var f fleetJSON
		if err := json.Unmarshal(data, &f); err != nil {
			return nil, err
		}
		var hosts []page.Host
		for _, name := range slices.Sorted(maps.Keys(f.Hosts)) {
			h := page.Host{Name: name, Report: f.Hosts[name].Scan, Error: f.Hosts[name].Error}
			if h.Report != nil {
				if err := whyNoPage(h.Report); err != nil { // the others may be enough
					h.Report, h.Error = nil, cmp.Or(h.Error, err.Error())
				}
			}
			hosts = append(hosts, h)
		}
		return hosts, nil
	}
	return nil, fmt.Errorf("its schema is %q, not %q or %q", kind.Schema, report.HostSchema, fleetSchema)
}

// whyNoPage says why a report is not enough for a page, or "".
func whyNoPage(h *report.Host) error {
	if h.Images == nil || h.Run.Time.IsZero() {
		return errors.New("it is from a chainfix too old for a page: scan the host again")
	}
	return nil
}
