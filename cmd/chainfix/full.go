//go:build !small

package main

import (
	"context"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/chain/policyfile"
	"github.com/chainfix/chainfix/chain/remote"
	"github.com/chainfix/chainfix/chain/storage"
)

// This file has what only the full program can do; small.go is its counterpart in the
// small program, which is built with the tag "small". The small one has no code for YAML,
// networks and libvirt's protocol, starts faster, and executes the full one for those.

// hostCommands are the commands for whole hosts.
func hostCommands(std streams) []*cli.Command { return []*cli.Command{hostCommand(std)} }

// hostFlags are the flags that only the commands for whole hosts have.
func hostFlags() []flagRow {
	return slices.Concat(storedFlags(), rebaseFlags(), draftFlags(), shownFlags())
}

// remoteOpener opens images on the network, too.
func (o *options) remoteOpener() storage.Opener {
	// Its own limit is a fallback for other callers.
	return &remote.Opener{QemuImg: o.qemuImg, Timeout: 2 * o.timeout}
}

// readPolicy reads a policy file, and the folder of the pools that it names.
func readPolicy(ctx context.Context, requests *limit.Requests, path string) (policy chain.Policy, pools string, err error) {
	file, err := limit.Do(ctx, requests, path, func(context.Context) (*policyfile.File, error) { return policyfile.Read(path) })
	if err != nil {
		return policy, "", err
	}
	return file.Policy, file.Pools, nil
}

// handOver does nothing here: this is the full program.
func handOver(*commandLine, []string) error { return nil }
