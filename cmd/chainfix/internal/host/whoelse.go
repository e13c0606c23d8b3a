package host

import (
	"encoding/json"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/storage"
)

// What a text of a guest names besides the chains of its disks.

// elsewhere reads the names of files anywhere in a text.
func (r *usageReader) elsewhere(text []byte) {
	inDisks := len(r.found.uses) > 0
	err := eachReference(text, func(ref fileReference) {
		if ref.byHand {
			r.byHand(ref.element, ref.path)
			return
		}
		s := sameness{}
		switch {
		case ref.protocol != "":
			s = r.onNetwork(ref)
		case ref.isSocket && r.target.local != nil:
			s.why = "another process shows the guest a folder, and the XML does not say which"
		case ref.isSocket, ref.isFolder && r.target.local == nil:
			return
		case ref.isFolder:
			s = r.target.compareFolder(r.ctx, ref.path)
		default:
			s = r.target.compare(r.ctx, r.walker, chain.Layer{Source: storage.LocalSource(ref.path, false)})
		}
		// A disk itself has said what is to be said of doubts.
		if !ref.inDisk || s.same && !inDisks {
			r.say("", "<"+ref.element+">", false, s)
		}
	})
	if err != nil {
		r.doubt("", "it may name more files: "+err.Error())
	}
	if r.target.extent.File.Block && strings.Contains(string(text), "<hostdev") {
		r.doubt("", "the guest has a device of the host, which may be the one that the image is on")
	}
}

// onNetwork compares an image on the network outside of the disks, such as
// variables of firmware, by the end of its name; it ignores the servers.
func (r *usageReader) onNetwork(ref fileReference) sameness {
	src := &libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{Protocol: ref.protocol, Name: ref.path}}
	if !r.target.isLast(storage.Name(src)) {
		return sameness{}
	}
	return sameness{why: "its <" + ref.element + "> has an image of that name on the network"}
}

// byHand reads a QEMU command line option in the XML. It finds only some of
// the images in it: an option may name one in any form that QEMU accepts.
func (r *usageReader) byHand(element, option string) {
	used := len(r.found.uses)
	texts := append([]string{option}, textsOf(option)...)
	paths, all := pathsIn(texts)
	for _, path := range paths {
		s := r.target.compare(r.ctx, r.walker, chain.Layer{Source: storage.LocalSource(path, false)})
		if !s.same && s.why == "" && r.target.local != nil {
			s = r.target.compareFolder(r.ctx, path)
		}
		r.say("", "<"+element+">", false, s)
		if !s.same {
			r.chainByHand(path)
		}
	}
	switch {
	case len(r.found.uses) > used:
	case r.target.mayBeIn(texts):
		r.doubt("", "a QEMU command line option in the XML may name the image")
	case !all:
		r.doubt("", "a QEMU command line option in the XML is too long to check")
	}
}

// mayBeIn reports whether a text may name the image in a form that is not understood here.
func (t *whoTarget) mayBeIn(texts []string) bool {
	words := t.bases
	if t.local == nil {
		scheme, _, _ := strings.Cut(t.name, "://")
		scheme, _, _ = strings.Cut(scheme, "+")
		words = []string{scheme, lastPart(t.name)}
	}
	for _, text := range texts {
		for _, word := range words {
			if word != "/" && word != "." && strings.Contains(text, word) {
				return true
			}
		}
	}
	return false
}

// chainByHand checks a file in a QEMU command line option, which libvirt does
// not interpret.
func (r *usageReader) chainByHand(path string) {
	view, err := r.walker.Look(r.ctx, storage.LocalSource(path, false), "")
	if err == nil && view.Header != nil && len(view.Header.References()) > 0 {
		r.doubt("", strconv.Quote(path)+" is in a QEMU command line option and names other files, which are not touched")
	}
}

// textsOf are the texts in an option, as they are meant: a comma in a name is doubled, and JSON
// has escapes.
func textsOf(option string) (all []string) {
	if plain := strings.ReplaceAll(option, ",,", ","); plain != option {
		all = append(all, plain)
	}
	begin := strings.IndexByte(option, '{')
	if begin < 0 {
		return all
	}
	decoder := json.NewDecoder(strings.NewReader(option[begin:]))
	for {
		token, err := decoder.Token()
		if err != nil {
			return all
		}
		if text, ok := token.(string); ok {
			all = append(all, text)
		}
	}
}

// maxPaths is how many paths are looked for in an option.
const maxPaths = 200

// pathsIn are all absolute paths that may be meant in texts, each once; false if there are
// more. A path begins where a word does, and it may have any of the signs in it that end one.
func pathsIn(texts []string) (paths []string, all bool) {
	known := make(map[string]bool)
	for _, text := range texts {
		for begin := range len(text) {
			if text[begin] != '/' || begin > 0 && !endsWord(text[begin-1]) {
				continue
			}
			for end := begin + 1; end <= len(text); end++ {
				path := text[begin:end]
				if end < len(text) && !endsWord(text[end]) || known[path] {
					continue
				}
				if len(paths) == maxPaths {
					return paths, false
				}
				known[path] = true
				paths = append(paths, path)
			}
		}
	}
	return paths, true
}

func endsWord(c byte) bool { return strings.IndexByte(`,="'{}[] :;`, c) >= 0 }
