package chain

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/chain/storage"
)

// statementIndex finds the statements about an image. A policy may have ten
// thousand statements, a host even more layers.
type statementIndex struct {
	byName   map[string]Statement // the first of each path
	paths    []string             // the local names in byName, in their order
	patterns []Statement

	once   sync.Once
	byFile map[storage.FileID][]Statement // see [walk.statementsOfFiles]
}

// indexStatements makes the index of these statements.
func indexStatements(all []Statement) *statementIndex {
	index := &statementIndex{byName: make(map[string]Statement)}
	for _, s := range all {
		if s.Pattern {
			index.patterns = append(index.patterns, s)
		} else if _, ok := index.byName[s.Path]; !ok {
			index.byName[s.Path] = s
			if strings.HasPrefix(s.Path, "/") {
				index.paths = append(index.paths, s.Path)
			}
		}
	}
	return index
}

// trusted returns the operator's statement about an image: by the chain's name
// for it (its [storage.Name]), or else by any other name of the same file, or
// else by a pattern. If statements of the same kind disagree, the disk is
// refused.
func (k *walk) trusted(src *libvirtxml.DomainDiskSource) (Statement, bool) {
	name := storage.Name(src)
	if len(k.Policy.Trust) == 0 || name == "" {
		return Statement{}, false
	}
	k.Met.image(src)
	_, local := storage.LocalPath(src)
	var counts []Statement
	for _, find := range []func(string, *libvirtxml.DomainDiskSource) []Statement{k.statedByName, k.statedByFile, k.statedByPattern} {
		found := find(name, src)
		k.Met.statements(found)
		if len(counts) == 0 {
			counts = found
		}
		// An image on the network has no other name. Statements that cannot be used
		// any more matter only for Met.
		if !local || len(counts) > 0 && k.Met.all() {
			break
		}
	}
	if len(counts) == 0 {
		return Statement{}, false
	}
	first := counts[0]
	for _, s := range counts {
		if s.Format != first.Format {
			k.refuse(finding.TrustConflict, strconv.Quote(name)+" is stated to be "+string(first.Format)+" by "+strconv.Quote(first.Path)+
				" and "+string(s.Format)+" by "+strconv.Quote(s.Path),
				finding.Say("remove the one that is wrong: %s; or %s; or state the format under the image's own name, which takes precedence: %s or %s", first.given(), s.given(),
					finding.Trust(name, string(first.Format)), finding.Trust(name, string(s.Format))))
			return Statement{}, false
		}
	}
	return first, true
}

// statedByName returns the statement whose path is this name.
func (k *walk) statedByName(name string, _ *libvirtxml.DomainDiskSource) []Statement {
	if s, ok := k.trust.byName[name]; ok {
		return []Statement{s}
	}
	return nil
}

// statedByFile returns the statements with another name of the file as their
// path, the first for each path. Their files are identified once for each run,
// and again on a match: the file may have been removed since, and its inode
// number reused.
func (k *walk) statedByFile(_ string, src *libvirtxml.DomainDiskSource) []Statement {
	id, err := k.Identify(k.ctx, src)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(k.statementsOfFiles()[id]), func(s Statement) bool {
		now, err := k.images.IdentifyNow(k.ctx, storage.LocalSource(s.Path, false))
		return err != nil || now != id
	})
}

// statementsOfFiles returns the statements by the file that their path named
// when the first layer was compared with them, once for each run.
func (k *walk) statementsOfFiles() map[storage.FileID][]Statement {
	index := k.trust
	index.once.Do(func() {
		index.byFile = make(map[storage.FileID][]Statement)
		ctx := limit.WithoutRow(k.ctx)                  // other walks wait for it, too
		ids := make([]storage.FileID, len(index.paths)) // the zero FileID for a file that does not exist
		atOnce(len(ids), func(i int) {
			if id, err := k.Identify(ctx, storage.LocalSource(index.paths[i], false)); err == nil {
				ids[i] = id
			}
		})
		for i, id := range ids {
			if id != (storage.FileID{}) {
				index.byFile[id] = append(index.byFile[id], index.byName[index.paths[i]])
			}
		}
	})
	return index.byFile
}

// atOnce calls ask for each of n names of a policy, which may be tens of
// thousands, most of them concurrently: the number of requests in flight is
// bounded elsewhere.
func atOnce(n int, ask func(i int)) {
	var group errgroup.Group
	group.SetLimit(1024)
	for i := range n {
		group.Go(func() error { ask(i); return nil })
	}
	group.Wait()
}

// statedByPattern returns the statements with a matching pattern. A name with
// ".." in it may refer to another file than its cleaned spelling, since the
// folder before it may be a symlink: then both must be the same file.
func (k *walk) statedByPattern(name string, src *libvirtxml.DomainDiskSource) (found []Statement) {
	clean := path.Clean(name)
	for _, s := range k.trust.patterns {
		if ok, err := path.Match(s.Path, clean); err == nil && ok {
			found = append(found, s)
		}
	}
	if len(found) > 0 && slices.Contains(strings.Split(name, "/"), "..") && !k.sameFile(src, storage.LocalSource(clean, false)) {
		return nil
	}
	return found
}

// sameFile reports whether two sources are the same file or device.
func (k *walk) sameFile(a, b *libvirtxml.DomainDiskSource) bool {
	first, err := k.Identify(k.ctx, a)
	if err != nil {
		return false
	}
	second, err := k.Identify(k.ctx, b)
	return err == nil && first == second
}

// refuseTrustConflict refuses the last layer if the XML or its overlay states
// another format than the operator. It reports whether they do.
func (k *walk) refuseTrustConflict(s Statement, layer Layer) bool {
	if s.Format == layer.Format || layer.From == Protocol {
		return false
	}
	const correct = "correct it (%s): %s"
	says, fix := "the XML", finding.Remedy{}
	switch depth := len(k.chain.Layers) - 1; {
	case layer.From == Header:
		says, fix = "its overlay", recordThere(k.overlay(), s)
	case depth == 0:
		fix = finding.Say(correct, k.edit(), driverElement(s.Format))
	default:
		fix = finding.Say(correct, k.edit(), formatElement(s.Format))
		if above := k.overlay().Header; above != nil && above.Backing != nil {
			if rec := storage.ReadRecord(above.Backing); rec.Format != "" && rec.Format != s.Format {
				fix = finding.Say("%s, and the overlay too: %s", fix, recordThere(k.overlay(), s))
			}
		}
	}
	k.refuse(finding.TrustConflict, storage.Describe(layer.Source)+" is stated to be "+string(s.Format)+" by the operator, but "+says+" says "+string(layer.Format),
		finding.Say("if the statement is wrong, remove %s; if %s is, %s", s.given(), says, fix).About(storage.ShownName(layer.At()), string(s.Format), string(layer.Format)))
	return true
}

// recordThere says how to record the stated format in the overlay.
func recordThere(overlay Layer, s Statement) finding.Remedy {
	if !overlay.Format.CanRename() {
		return finding.Say(noRoom)
	}
	return finding.Say("record the format there: %s", recordFormat(overlay, s.Format))
}

// given says where the operator gave the statement. Only a policy file can
// have a pattern.
func (s Statement) given() string {
	if s.Pattern {
		return "the glob " + strconv.Quote(s.Path) + " of the policy file"
	}
	return "--trust " + finding.ShellWord(s.Shown()+"="+string(s.Format)) + ", or its entry in the policy file"
}

// topContradicted compares a top that stays unchanged with the statements. It
// reports whether they refuse it.
func (k *walk) topContradicted(top Layer) bool {
	k.chain.Layers = []Layer{top}
	if s, ok := k.trusted(top.At()); ok {
		k.refuseTrustConflict(s, top)
	}
	if k.refused() {
		return true
	}
	k.chain.Layers = nil
	return false
}

// checkStated compares the XML's layers from depth on, which are not read,
// with the statements.
func (k *walk) checkStated(depth int) {
	layers := k.chain.Layers
	for i := depth; i < len(layers) && !k.refused(); i++ {
		layer, _ := k.Locate(k.ctx, layers[i])
		k.chain.Layers = layers[: i+1 : i+1]
		if s, ok := k.trusted(layer.At()); ok && layer.From != Unstated {
			k.refuseTrustConflict(s, layer)
		}
	}
	if !k.refused() {
		k.chain.Layers = layers
	}
}

// noteStated reports to Met the images in the XML that the walk did not reach,
// for example because it was refused before.
func (k *walk) noteStated() {
	if k.Met.all() {
		return
	}
	for _, layer := range k.stated.Layers {
		if located, err := k.Locate(k.ctx, layer); err == nil && storage.Name(located.At()) != "" {
			k.Met.image(located.At())
			k.Met.statements(k.statedByName(storage.Name(located.At()), nil))
		}
	}
}
