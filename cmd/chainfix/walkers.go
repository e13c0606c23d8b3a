package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/chain/pools"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// walkers makes the walker of one run, and finds out which of the operator's
// statements matched no disk.
type walkers struct {
	opener     storage.Opener
	requests   *limit.Requests
	volumes    storage.Volumes
	policy     chain.Policy
	trustFlags int    // the first so many of the policy's statements are --trust flags
	file       string // the policy file, for messages
	met        *chain.Met
}

// requests returns the limits on requests to storage in this run. With one request at a
// time it also uses one processor: waking another one for each answer would cost more
// than it gains.
func (o *options) requests() *limit.Requests {
	if o.jobs == 1 {
		runtime.GOMAXPROCS(1)
	}
	return limit.New(o.jobs, o.timeout)
}

// walkers returns the walkers that the policy file and the flags describe. Flags
// override the file, except the rules of its folders. The --trust flags are
// watched.
func (o *options) walkers(ctx context.Context) (*walkers, error) {
	w := &walkers{opener: storage.FileOpener{}, requests: o.requests(), trustFlags: len(o.trust)}
	if o.network {
		w.opener = o.remoteOpener()
	}
	poolDir := ""
	if o.policyFile != nil {
		w.file = *o.policyFile
		var err error
		w.policy, poolDir, err = readPolicy(ctx, w.requests, w.file)
		if errors.As(err, new(*limit.UnansweredError)) {
			err = fmt.Errorf("%s gives %w", shownName(w.file), err)
		}
		if errors.As(err, new(*fs.PathError)) {
			err = fmt.Errorf("--policy: %w", err)
		}
		if err != nil {
			return nil, inputError(err)
		}
	}
	w.policy.Disagreement = o.disagreement
	w.policy.Trust = append(o.trust, w.policy.Trust...)
	if o.rule != nil {
		w.policy.Rule = *o.rule
	}
	if o.target.Known() {
		w.policy.Target = o.target
	}
	if o.pools != nil {
		poolDir = *o.pools
	}
	if poolDir != "" {
		known, err := pools.Read(ctx, poolDir, w.requests)
		if err != nil {
			return nil, inputError(err)
		}
		w.volumes = known
	}
	w.met = chain.NewMet(w.policy.Trust[:w.trustFlags])
	return w, nil
}

// defaultPools is where libvirt's daemon for the system keeps the definitions of its pools.
const defaultPools = "/etc/libvirt/storage"

// walker returns a walker for single documents on this host. A scan of a whole host brings
// its own pools.
func (w *walkers) walker() *chain.Walker {
	volumes := w.volumes
	if volumes == nil {
		volumes = pools.At(defaultPools, w.requests)
	}
	images := image.NewCache(w.opener)
	images.SetRequests(w.requests)
	return &chain.Walker{Images: images, Volumes: volumes, Policy: w.policy, Met: w.met}
}

// watchAll makes the run watch the statements of the policy file too, since it
// covers everything that they are about.
func (w *walkers) watchAll() { w.met = chain.NewMet(w.policy.Trust) }

// parseTrust parses the --trust flags. Duplicates count once.
func parseTrust(words []string) ([]chain.Statement, error) {
	dir, err := os.Getwd()
	if err != nil {
		dir = "" // only the hint about a relative path needs it
	}
	var statements []chain.Statement
	stated := make(map[string]probe.Format)
	for _, word := range words {
		s, err := chain.ParseStatement(word, dir)
		if err != nil {
			return nil, usageError("--trust: %w", err)
		}
		switch before, ok := stated[s.Path]; {
		case ok && before != s.Format:
			return nil, usageError("--trust: %q is stated to be both %s and %s", s.Shown(), before, s.Format)
		case !ok:
			stated[s.Path] = s.Format
			statements = append(statements, s)
		}
	}
	return statements, nil
}
