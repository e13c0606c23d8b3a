package chain

import (
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// ruleFor returns the rule for an image by its absolute path: the rule of the
// innermost folder that has one, or else the policy's.
func (p Policy) ruleFor(name string) Rule {
	rule, innermost := p.Rule, -1
	for _, f := range p.Folders {
		switch depth := f.depthOf(name); {
		case f.Rule == nil || depth < max(innermost, 0):
		case depth == innermost:
			rule = max(rule, *f.Rule) // two entries for one folder
		default:
			rule, innermost = *f.Rule, depth
		}
	}
	return rule
}

// trustsHeaders reports whether the innermost folder that an image is in, by its
// absolute path, is one with [Folder.TrustHeaders].
func (p Policy) trustsHeaders(name string) bool {
	trusted, innermost := false, -1
	for _, f := range p.Folders {
		switch depth := f.depthOf(name); {
		case depth < max(innermost, 0):
		case depth == innermost:
			trusted = trusted && f.TrustHeaders // two entries for one folder
		default:
			trusted, innermost = f.TrustHeaders, depth
		}
	}
	return trusted
}

// depthOf returns the number of path components of the folder if it contains
// name, at any depth, otherwise -1. Both paths are cleaned and compared by
// component.
func (f Folder) depthOf(name string) int {
	if !strings.HasPrefix(f.Path, "/") || !strings.HasPrefix(name, "/") {
		return -1
	}
	folder := strings.TrimSuffix(path.Clean(f.Path), "/") + "/"
	if name = path.Clean(name); len(name) <= len(folder) || !strings.HasPrefix(name, folder) {
		return -1
	}
	return strings.Count(folder, "/")
}

// ruleFor returns the rule for the image at name: the stricter of those for
// the name and for the path with its symlinks resolved, because whoever wrote
// the overlay chose the name.
func (k *walk) ruleFor(name string) Rule {
	rule := k.Policy.ruleFor(name)
	if len(k.Policy.Folders) == 0 {
		return rule
	}
	if resolved, policy, err := k.resolve(name); err == nil {
		rule = max(rule, policy.ruleFor(resolved))
	}
	return rule
}

// whyNotTrusted says why the header of the image at name is not trusted; "" if
// it is. Symlinks are resolved only if the name is in a folder with
// [Folder.TrustHeaders]: they may lead out of it.
func (k *walk) whyNotTrusted(name string) string {
	const nowhere = "is not in a folder with trusted headers"
	if !k.Policy.trustsHeaders(name) {
		return nowhere
	}
	resolved, policy, err := k.resolve(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "does not exist"
	case err != nil:
		return "cannot be found: " + strconv.Quote(storage.Reason(err))
	case !policy.trustsHeaders(resolved):
		return "leads to " + strconv.Quote(resolved) + ", which " + nowhere
	}
	return ""
}

// resolve returns the path of the image at name and the policy, both with all
// symlinks resolved. Folders that do not exist are left out.
func (k *walk) resolve(name string) (string, Policy, error) {
	resolved, err := k.images.Resolve(k.ctx, name)
	if err != nil {
		return "", Policy{}, err
	}
	return resolved, k.folders.resolve(k), nil
}

// resolvedFolders is a policy with the symlinks of its folders resolved, once
// for each run.
type resolvedFolders struct {
	once   sync.Once
	policy Policy
}

func (r *resolvedFolders) resolve(k *walk) Policy {
	r.once.Do(func() {
		ctx := limit.WithoutRow(k.ctx) // other walks wait for this too
		all := k.Policy.Folders
		paths := make([]string, len(all)) // "" for a folder that does not exist
		atOnce(len(all), func(i int) {
			if path, err := k.images.Resolve(ctx, all[i].Path); err == nil {
				paths[i] = path
			}
		})
		r.policy = k.Policy
		r.policy.Folders = nil
		for i, f := range all {
			if f.Path = paths[i]; f.Path != "" {
				r.policy.Folders = append(r.policy.Folders, f)
			}
		}
	})
	return r.policy
}

// acceptHeader takes the format of an image in a folder with
// [Folder.TrustHeaders] from its header, if the header names no file but a
// backing image in such a folder.
func (k *walk) acceptHeader(layer Layer, l *image.View, unrecorded string, remedy finding.Remedy) Layer {
	format := l.Candidate()
	if l.HeaderErr != nil {
		// A broken header is refused by the caller, as if it had been probed.
		layer.Format, layer.From = format, Probe
		return layer
	}
	says := unrecorded + "; its own header, which is trusted, says " + string(format)
	beside := *l.Header
	beside.Backing = nil
	if refs := References(&beside); refs != nil {
		k.refuse(refs.Code, says+" and names "+refs.What+", but an image with a trusted header may name only a backing image", remedy)
		return layer
	}
	if backing := l.Header.Backing; backing != nil {
		if why := k.whyBackingNotTrusted(layer, backing); why != "" {
			k.refuse(finding.ProbedBacking, says+" and names the backing image "+strconv.Quote(storage.Printable(backing.Name))+", but that "+why, remedy)
			return layer
		}
	}
	layer.Format, layer.From = format, Trust
	k.note(finding.TrustedHeader, finding.Info, says)
	return layer
}

// whyBackingNotTrusted says why the backing image that a trusted header names is not
// followed; "" if it is.
func (k *walk) whyBackingNotTrusted(overlay Layer, backing *probe.Reference) string {
	if backing.CutAtNUL {
		return "has a NUL byte in its name"
	}
	src, err := storage.ParseBacking(backing.Name, overlay.At())
	if err != nil {
		return "does not name a local file"
	}
	name, local := storage.LocalPath(src)
	if !local {
		return "is not a local file"
	}
	return k.whyNotTrusted(name)
}
