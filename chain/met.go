package chain

import (
	"path"
	"strings"
	"sync"
	"sync/atomic"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/storage"
)

// These bound the image names that are kept, because guests and servers choose
// them: their number, and their length (no longer than a path).
const (
	maxMetNames = 4096
	maxMetName  = 4096
)

// Met records which statements of a policy matched an image of a run, and
// suggests an image for each of the others: see [Walker.Met]. It is safe for
// concurrent use. A nil *Met records nothing.
type Met struct {
	watched []Statement
	left    atomic.Int64 // number of statements not met yet

	mu    sync.Mutex
	met   map[aboutImage]bool // for each watched statement, whether it was met
	names map[string]bool     // the images that were reached, without credentials
}

// aboutImage is a statement without its format.
type aboutImage struct {
	path    string
	pattern bool
}

// about returns the statement without its format.
func (s Statement) about() aboutImage { return aboutImage{s.Path, s.Pattern} }

// NewMet returns a Met that watches these statements. Statements with one path count
// as one.
func NewMet(watched []Statement) *Met {
	m := &Met{met: make(map[aboutImage]bool), names: make(map[string]bool)}
	for _, s := range watched {
		if _, ok := m.met[s.about()]; !ok {
			m.met[s.about()] = false
			m.watched = append(m.watched, s)
		}
	}
	m.left.Store(int64(len(m.watched)))
	return m
}

// all reports whether all statements were met.
func (m *Met) all() bool { return m == nil || m.left.Load() == 0 }

// statements records that these statements matched an image.
func (m *Met) statements(found []Statement) {
	if len(found) == 0 || m.all() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range found {
		if met, watched := m.met[s.about()]; watched && !met {
			m.met[s.about()] = true
			m.left.Add(-1)
		}
	}
}

// image records that an image was reached.
func (m *Met) image(src *libvirtxml.DomainDiskSource) {
	if m.all() {
		return
	}
	name := storage.ShownName(src)
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(name) <= maxMetName && len(m.names) < maxMetNames {
		m.names[name] = true
	}
}

// Unmet returns the statements that matched no image, in their order.
func (m *Met) Unmet() []Statement {
	if m.all() {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var unmet []Statement
	for _, s := range m.watched {
		if !m.met[s.about()] {
			unmet = append(unmet, s)
		}
	}
	return unmet
}

// Nearest returns the name of an image of the run, without credentials, that a
// statement may have meant: the one that differs in the fewest characters, if
// they are at most half of its file name, or else one in another folder with
// the same file name. It returns "" if no image qualifies, and for a pattern.
func (m *Met) Nearest(s Statement) string {
	if m == nil || s.Pattern {
		return ""
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	wanted := withoutQuery(s.Path)
	nearest, fewest := "", min((len(path.Base(wanted))+1)/2, maxDifference)+1
	namesake := ""
	for name := range m.names {
		plain := withoutQuery(name)
		// Among equally near names the alphabetically first wins.
		if d := difference(wanted, plain, fewest); d < fewest || d == fewest && nearest != "" && name < nearest {
			nearest, fewest = name, d
		}
		if path.Base(plain) == path.Base(wanted) && (namesake == "" || name < namesake) {
			namesake = name
		}
	}
	if nearest == "" {
		return namesake
	}
	return nearest
}

// withoutQuery removes the query of a URI, which messages do not show.
func withoutQuery(name string) string {
	if !strings.HasPrefix(name, "/") {
		name, _, _ = strings.Cut(name, "?")
	}
	return name
}

// maxDifference bounds the search for similar names.
const maxDifference = 16

// difference returns the Levenshtein distance of a and b in bytes, or limit+1
// if it is greater than limit. It takes time proportional to at most limit
// times the length of the shorter name.
func difference(a, b string, limit int) int {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > limit {
		return limit + 1
	}
	// row[j] is the distance of the first i bytes of a to the first j of b.
	// Only those of about the same length can be within the limit.
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		from, to := max(1, i-limit), min(len(b), i+limit)
		diagonal := row[from-1]
		row[from-1] = i // above the limit, or the distance to the empty name
		if from > 1 {
			row[from-1] = limit + 1
		}
		best := row[from-1]
		for j := from; j <= to; j++ {
			above := row[j]
			if j == i+limit {
				above = limit + 1 // no value in the previous row
			}
			same := diagonal
			if a[i-1] != b[j-1] {
				same++
			}
			row[j] = min(above+1, row[j-1]+1, same)
			diagonal = above
			best = min(best, row[j])
		}
		if best > limit {
			return limit + 1
		}
	}
	return min(row[len(b)], limit+1)
}
