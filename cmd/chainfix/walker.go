package main

import (
	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/pools"
	"github.com/chainfix/chainfix/chain/remote"
)

// networkFlags let images be read that are not on this host.
func networkFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "network", Usage: "read the headers of images on the network: http, https and nbd"},
		&cli.StringFlag{Name: "qemu-img", Usage: "with --network, read those of other protocols by this qemu-img `PROGRAM`"},
	}
}

// walkers makes the walkers of one run, one for each goroutine. All have the
// same policy and know the same pools.
func walkersOf(c *cli.Context) (func() *chain.Walker, error) {
	decided, err := decisionsOf(c)
	if err != nil {
		return nil, err
	}
	var opener chain.Opener = chain.FileOpener{}
	switch program := c.String("qemu-img"); {
	case c.Bool("network"):
		opener = &remote.Opener{QemuImg: program}
	case program != "":
		return nil, usageError("--qemu-img needs --network")
	}
	var volumes chain.Volumes
	if decided.Pools != "" {
		known, err := pools.Read(decided.Pools)
		if err != nil {
			return nil, inputError(err)
		}
		volumes = known
	}
	return func() *chain.Walker {
		return &chain.Walker{Opener: opener, Volumes: volumes, Policy: decided.Policy}
	}, nil
}
