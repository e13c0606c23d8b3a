package chain

import (
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
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

// believed reports whether the innermost folder that an image is in, by its
// absolute path, is one whose headers are believed.
func (p Policy) believed(name string) bool {
	believed, innermost := false, -1
	for _, f := range p.Folders {
		switch depth := f.depthOf(name); {
		case depth < max(innermost, 0):
		case depth == innermost:
			believed = believed && f.Believed // two entries for one folder
		default:
			believed, innermost = f.Believed, depth
		}
	}
	return believed
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

// ruleFor returns the rule for the image at name. Whoever wrote the overlay
// chose the name, so where the image really is has a say too: the stricter of
// the two counts.
func (k *walk) ruleFor(name string) Rule {
	rule := k.Policy.ruleFor(name)
	if len(k.Policy.Folders) == 0 {
		return rule
	}
	if place, policy, err := k.place(name); err == nil {
		rule = max(rule, policy.ruleFor(place))
	}
	return rule
}

// doubt says why the header of the image at name is not believed; "" if it is.
// Nothing is looked at unless the name is that of an image in a believed
// folder; only then may it lead out by a symlink.
func (k *walk) doubt(name string) string {
	const nowhere = "is in no folder whose headers are believed"
	if !k.Policy.believed(name) {
		return nowhere
	}
	place, policy, err := k.place(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "is not there"
	case err != nil:
		return "cannot be found: " + strconv.Quote(storage.Reason(err))
	case !policy.believed(place):
		return "leads to " + strconv.Quote(place) + ", which " + nowhere
	}
	return ""
}

// place returns where the image at name is once symlinks are followed, and the
// policy with its folders named likewise. A folder that is not there holds
// nothing.
func (k *walk) place(name string) (string, Policy, error) {
	resolver, ok := k.Opener().(storage.Resolver)
	if !ok {
		return "", Policy{}, errNoResolver
	}
	place, err := resolver.Resolve(k.ctx, name)
	if err != nil {
		return "", Policy{}, err
	}
	if k.placed == nil {
		// Once in a walk: there may be thousands of folders.
		policy := k.Policy
		policy.Folders = nil
		for _, f := range k.Policy.Folders {
			if f.Path, err = resolver.Resolve(k.ctx, f.Path); err == nil {
				policy.Folders = append(policy.Folders, f)
			}
		}
		k.placed = &policy
	}
	return place, *k.placed, nil
}

var errNoResolver = errors.New("symlinks are not followed here")

// believe takes the word of the header of an image in a believed folder, if
// all that it names is a backing image that is believed too.
func (k *walk) believe(layer Layer, l *image.View, unrecorded string, remedy finding.Remedy) Layer {
	format := l.Candidate()
	if l.HeaderErr != nil {
		// What a broken header says is nobody's word.
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
		if doubt := k.doubtBacking(layer, backing); doubt != "" {
			k.refuse(finding.ProbedBacking, says+" and names the backing image "+strconv.Quote(storage.Printable(backing.Name))+", but that "+doubt, remedy)
			return layer
		}
	}
	layer.Format, layer.From = format, Trust
	k.note(finding.BelievedHeader, finding.Info, says)
	return layer
}

// doubtBacking says why what a believed header names is not followed; "" if it
// is.
func (k *walk) doubtBacking(overlay Layer, backing *probe.Reference) string {
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
	return k.doubt(name)
}
