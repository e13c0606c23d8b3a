package chain

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/probe"
)

// trusted returns the format that the operator states for an image: by the
// name that the chain has for it (its [Name]), else by any other name of the
// same file, else by a pattern. Statements of one of these kinds that disagree
// are refused.
func (k *walk) trusted(name string, src *libvirtxml.DomainDiskSource) (probe.Format, bool) {
	if len(k.Policy.Trust) == 0 {
		return "", false
	}
	for _, s := range k.Policy.Trust {
		if !s.Pattern && s.Path == name {
			return s.Format, true
		}
	}
	if _, local := LocalPath(src); !local {
		return "", false // it has no other name
	}
	statements := k.statedByFile(src)
	if len(statements) == 0 {
		statements = k.statedByPattern(name, src)
	}
	for _, s := range statements {
		if first := statements[0]; s.Format != first.Format {
			k.refuse(TrustConflict, strconv.Quote(name)+" is stated to be "+string(first.Format)+" by "+strconv.Quote(first.Path)+
				" and "+string(s.Format)+" by "+strconv.Quote(s.Path), "drop the statement that is wrong, or state the format of "+
				strconv.Quote(name)+" itself")
			return "", false
		}
	}
	if len(statements) == 0 {
		return "", false
	}
	return statements[0].Format, true
}

// statedByFile returns the statements whose path is another name of the file:
// of those with one path the first, which counts there too.
func (k *walk) statedByFile(src *libvirtxml.DomainDiskSource) (found []Statement) {
	id, err := k.Opener.Identify(k.ctx, src)
	if err != nil {
		return nil
	}
	for _, s := range k.statementsOfFiles() {
		if s.id == id {
			found = append(found, s.Statement)
		}
	}
	return found
}

// statementOfFile is a statement about a file that is there.
type statementOfFile struct {
	Statement
	id FileID
}

// statementsOfFiles are those whose path names a file, the first of each path.
// Each is looked at once in a walk: there may be thousands, and every layer is
// held against all of them.
func (k *walk) statementsOfFiles() []statementOfFile {
	if k.ofFiles != nil {
		return k.ofFiles
	}
	k.ofFiles = []statementOfFile{}
	seen := make(map[string]bool)
	for _, s := range k.Policy.Trust {
		if seen[s.Path] || s.Pattern || !strings.HasPrefix(s.Path, "/") && strings.Contains(s.Path, "://") {
			continue
		}
		seen[s.Path] = true
		if id, err := k.Opener.Identify(k.ctx, localSource(s.Path, false)); err == nil {
			k.ofFiles = append(k.ofFiles, statementOfFile{s, id})
		}
	}
	return k.ofFiles
}

// statedByPattern returns the statements whose pattern matches. A name with
// ".." in it may lead elsewhere than its cleaned spelling, since the folder in
// front may be a symlink: then both must be one file.
func (k *walk) statedByPattern(name string, src *libvirtxml.DomainDiskSource) (found []Statement) {
	clean := path.Clean(name)
	for _, s := range k.Policy.Trust {
		if !s.Pattern {
			continue
		}
		if ok, err := path.Match(s.Path, clean); err == nil && ok {
			found = append(found, s)
		}
	}
	if len(found) > 0 && slices.Contains(strings.Split(name, "/"), "..") && !k.oneFile(src, localSource(clean, false)) {
		return nil
	}
	return found
}

func (k *walk) oneFile(a, b *libvirtxml.DomainDiskSource) bool {
	first, err := k.Opener.Identify(k.ctx, a)
	if err != nil {
		return false
	}
	second, err := k.Opener.Identify(k.ctx, b)
	return err == nil && first == second
}
