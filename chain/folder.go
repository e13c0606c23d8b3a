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

// ruleFor returns the rule for an image by its absolute path: that of the
// innermost folder that has one, else the policy's.
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

// depthOf returns how many names deep the folder is that holds name, itself
// and all of its folders; -1 if name is not in it. Both are compared by their
// components once they are cleaned.
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

// ruleFor returns the rule for the image at name: the stricter of those for the
// name and for the path with its symlinks resolved, since the name was chosen by
// whoever wrote the overlay.
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

// whyNotTrusted says why the header of the image at name does not count; "" if it
// does. Symlinks are resolved only if the name is one in a folder with
// [Folder.TrustHeaders]: they may lead out of it.
func (k *walk) whyNotTrusted(name string) string {
	const nowhere = "is in no folder whose headers are believed"
	if !k.Policy.trustsHeaders(name) {
		return nowhere
	}
	resolved, policy, err := k.resolve(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "is not there"
	case err != nil:
		return "cannot be found: " + strconv.Quote(storage.Reason(err))
	case !policy.trustsHeaders(resolved):
		return "leads to " + strconv.Quote(resolved) + ", which " + nowhere
	}
	return ""
}

// resolve returns the path of the image at name with its symlinks resolved, and the
// policy with those of its folders resolved. A folder that does not exist is left
// out.
func (k *walk) resolve(name string) (string, Policy, error) {
	resolved, err := k.images.Resolve(k.ctx, name)
	if err != nil {
		return "", Policy{}, err
	}
	return resolved, k.folders.resolve(k), nil
}

// resolvedFolders is a policy with the symlinks of its folders resolved, once in a run.
type resolvedFolders struct {
	once   sync.Once
	policy Policy
}

func (r *resolvedFolders) resolve(k *walk) Policy {
	r.once.Do(func() {
		ctx := limit.WithoutRow(k.ctx) // other walks wait for it, too
		all := k.Policy.Folders
		paths := make([]string, len(all)) // "" where there is none
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

// acceptHeader takes the format of an image in a folder with [Folder.TrustHeaders]
// from its header, if that names nothing but a backing image in such a folder.
func (k *walk) acceptHeader(layer Layer, l *image.View, unrecorded string, remedy finding.Remedy) Layer {
	format := l.Candidate()
	if l.HeaderErr != nil {
		// A broken header is refused by the caller, as if it had been probed.
		layer.Format, layer.From = format, Probe
		return layer
	}
	says := unrecorded + "; its own header, which is believed, says " + string(format)
	beside := *l.Header
	beside.Backing = nil
	if refs := References(&beside); refs != nil {
		k.refuse(refs.Code, says+" and names "+refs.What+", but a believed image may name a backing image only", remedy)
		return layer
	}
	if backing := l.Header.Backing; backing != nil {
		if why := k.whyBackingNotTrusted(layer, backing); why != "" {
			k.refuse(finding.ProbedBacking, says+" and names the backing image "+strconv.Quote(storage.Printable(backing.Name))+", but that "+why, remedy)
			return layer
		}
	}
	layer.Format, layer.From = format, Trust
	k.note(finding.BelievedHeader, finding.Info, says)
	return layer
}

// whyBackingNotTrusted says why the backing image that a trusted header names is not
// followed; "" if it is.
func (k *walk) whyBackingNotTrusted(overlay Layer, backing *probe.Reference) string {
	if backing.CutAtNUL {
		return "is cut off by a NUL byte"
	}
	src, err := storage.ParseBacking(backing.Name, overlay.At())
	if err != nil {
		return "is no name of a local file"
	}
	name, local := storage.LocalPath(src)
	if !local {
		return "is no local file"
	}
	return k.whyNotTrusted(name)
}
