package main

import (
	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/pools"
	"github.com/chainfix/chainfix/chain/remote"
	"github.com/chainfix/chainfix/chain/storage"
)

// networkFlags let images be read that are not on this host.
func networkFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "network", Usage: "read the headers of images on the network: http, https and nbd"},
		&cli.StringFlag{Name: "qemu-img", Usage: "with --network, read those of other protocols by this qemu-img `PROGRAM`"},
	}
}

// walkers makes the walker of one run, which also finds out which statements of
// the operator's no disk has met.
type walkers struct {
	opener  storage.Opener
	volumes storage.Volumes
	policy  chain.Policy
	flags   int // of the policy's statements the first so many are --trust flags
	file    string
	met     *chain.Met
}

// walkersOf returns what the flags ask for. The --trust flags are watched.
func walkersOf(c *cli.Context) (*walkers, error) {
	decided, err := decisionsOf(c)
	if err != nil {
		return nil, err
	}
	w := &walkers{opener: storage.FileOpener{}, policy: decided.Policy, flags: decided.flags, file: c.String("policy")}
	switch program := c.String("qemu-img"); {
	case c.Bool("network"):
		w.opener = &remote.Opener{QemuImg: program}
	case program != "":
		return nil, usageError("--qemu-img needs --network")
	}
	if decided.Pools != "" {
		known, err := pools.Read(decided.Pools)
		if err != nil {
			return nil, inputError(err)
		}
		w.volumes = known
	}
	w.met = chain.NewMet(w.policy.Trust[:w.flags])
	return w, nil
}

func (w *walkers) walker() *chain.Walker {
	return &chain.Walker{Images: image.NewCache(w.opener), Volumes: w.volumes, Policy: w.policy, Met: w.met}
}

// watchAll makes the run watch the statements of the policy file too: it is over
// all that they are about.
func (w *walkers) watchAll() { w.met = chain.NewMet(w.policy.Trust) }
