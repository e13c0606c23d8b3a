package chain

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"libvirt.org/go/libvirtxml"
	"pgregory.net/rapid"

	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// levenshtein is the distance by its definition.
func levenshtein(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			same := before
			if a[i] != b[j] {
				same++
			}
			before = row[j+1]
			row[j+1] = min(row[j]+1, row[j+1]+1, same)
		}
	}
	return row[len(b)]
}

func TestDifference(t *testing.T) {
	word := rapid.StringOfN(rapid.SampledFrom([]rune("ab/")), 0, 24, -1)
	rapid.Check(t, func(t *rapid.T) {
		a, b, limit := word.Draw(t, "a"), word.Draw(t, "b"), rapid.IntRange(0, maxDifference+1).Draw(t, "limit")
		want := min(levenshtein(a, b), limit+1)
		if got := difference(a, b, limit); got != want {
			t.Fatalf("difference(%q, %q, %d) = %d, want %d", a, b, limit, got, want)
		}
	})
}

func localNames(names ...string) *Met {
	m := NewMet([]Statement{{Path: "/nothing"}})
	for _, name := range names {
		m.image(storage.LocalSource(name, false))
	}
	return m
}

func TestNearest(t *testing.T) {
	long := "/srv/" + strings.Repeat("x", 4000)
	for _, c := range []struct{ wanted, want string }{
		{"/srv/images/bse.img", "/srv/images/base.img"},
		{"/srv/images/base.im", "/srv/images/base.img"},
		{"/srv/imags/base.img", "/srv/images/base.img"},
		{"/srv/images/bass.img", "/srv/images/base.img"}, // as near as the other, and before it
		{"/srv/images/base.qcow2", "/srv/images/base.img"},
		{"/var/lib/libvirt/images/web.qcow2", "/srv/guests/web.qcow2"}, // the same file name
		{"/var/lib/libvirt/images/web2.qcow2", ""},
		{"/srv/a/b", "/srv/a/c"},
		{"/a", ""},
		{"/", ""},
		{long + "y", long},
		{"https://host:443/imge?token=hunter2", "https://host:443/image?..."},
		{"nbd+unix:///exprt?socket=/run/nbd", "nbd+unix:///export?socket=/run/nbd"},
	} {
		m := localNames("/srv/images/base.img", "/srv/images/bast.img", "/srv/guests/web.qcow2", "/srv/a/c", long)
		m.image(&libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{Protocol: "https", Name: "image", Query: "token=hunter2",
			Hosts: []libvirtxml.DomainDiskSourceHost{{Name: "host", Port: "443"}}}})
		m.image(&libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{Protocol: "nbd", Name: "export",
			Hosts: []libvirtxml.DomainDiskSourceHost{{Transport: "unix", Socket: "/run/nbd"}}}})
		if got := m.Nearest(Statement{Path: c.wanted}); got != c.want {
			t.Errorf("%.80q: %.80q, want %.80q", c.wanted, got, c.want)
		}
		if got := m.Nearest(Statement{Path: c.wanted, Pattern: true}); got != "" {
			t.Errorf("a pattern is near %q", got)
		}
	}
}

// Guests choose the names: only a few are kept, however long and many they
// are, and statements are still matched.
func TestMetKeepsFewNames(t *testing.T) {
	m := NewMet([]Statement{{Path: "/a"}, {Path: "/b"}})
	m.image(storage.LocalSource("/"+strings.Repeat("x", maxMetName), false))
	if len(m.names) != 0 {
		t.Error("an endless name is kept")
	}
	for i := range 3 * maxMetNames {
		m.image(storage.LocalSource(fmt.Sprint("/", i), false))
	}
	if len(m.names) != maxMetNames {
		t.Errorf("%d names are kept", len(m.names))
	}
	m.statements([]Statement{{Path: "/b", Format: probe.Raw}, {Path: "/other"}})
	if unmet := m.Unmet(); len(unmet) != 1 || unmet[0].Path != "/a" {
		t.Errorf("%+v", unmet)
	}
}

// Without watched statements nothing is stored.
func TestNoMet(t *testing.T) {
	var m *Met
	m.image(storage.LocalSource("/a", false))
	m.statements([]Statement{{Path: "/a"}})
	if m.Unmet() != nil || m.Nearest(Statement{Path: "/a"}) != "" || !m.all() {
		t.Error("a nil Met tells something")
	}
	m = NewMet(nil)
	m.image(storage.LocalSource("/a", false))
	if len(m.names) != 0 || m.Unmet() != nil {
		t.Error("names are kept for no statement")
	}
}

// A statement is met by each name of an image, by a pattern, where another
// statement comes before it, and where the walk does not come to the image.
func TestMet(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return dir + "/" + name }
	put := func(name string, q mkimage.Qcow2) {
		data, err := q.Bytes()
		if err == nil {
			err = os.WriteFile(at(name), data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put("base.img", mkimage.Qcow2{VirtualSize: 1 << 20})
	put("top.qcow2", mkimage.Qcow2{VirtualSize: 1 << 20, Backing: "base.img"})
	if err := os.Link(at("base.img"), at("hard.img")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, at("link")); err != nil {
		t.Fatal(err)
	}
	stated := func(names ...string) Stated {
		s := Stated{Target: "vda", Terminated: len(names) > 1}
		for _, name := range names {
			s.Layers = append(s.Layers, Layer{Source: storage.LocalSource(at(name), false), Format: probe.Qcow2, From: XML})
		}
		return s
	}
	mirrored, raw, inexpressible := stated("top.qcow2"), stated("top.qcow2"), stated("top.qcow2")
	mirrored.Mirror = true
	raw.Layers[0].Format = probe.Raw
	inexpressible.Inexpressible, inexpressible.Terminated = "a <backingStore> of type nvme", true
	is := func(name string) Statement { return Statement{Path: at(name), Format: probe.Qcow2} }
	like := func(name string) Statement { return Statement{Path: at(name), Pattern: true, Format: probe.Qcow2} }
	raws := func(name string) Statement { return Statement{Path: at(name), Format: probe.Raw} }
	for _, c := range []struct {
		name   string
		stated Stated
		trust  []Statement
		unmet  int // of the statements, the last so many
	}{
		{"each kind", stated("top.qcow2"), []Statement{is("base.img"), is("hard.img"), is("link/base.img"), like("bas*"), like("*.img"), is("top.qcow2"), like("*"),
			is("gone.img"), is("link/gone.img"), like("*.raw"), like("link/*"), {Path: "nbd://h/base.img", Format: probe.Raw}}, 5},
		{"only another name", stated("top.qcow2"), []Statement{is("hard.img")}, 0},
		{"only a pattern", stated("top.qcow2"), []Statement{like("base.*")}, 0},
		{"looks like a pattern", stated("top.qcow2"), []Statement{is("*")}, 1},
		{"a top that is left as it is", raw, []Statement{raws("top.qcow2"), raws("link/top.qcow2"), raws("base.img")}, 1},
		{"a block job", mirrored, []Statement{is("top.qcow2"), is("base.img")}, 1},
		{"a chain that cannot be written", inexpressible, []Statement{is("top.qcow2"), is("link/top.qcow2"), is("base.img")}, 1},
		{"below a refusal", stated("top.qcow2", "base.img", "below.img"), []Statement{raws("top.qcow2"), is("base.img"), is("below.img"), is("other.img")}, 1},
		{"images that are gone", stated("gone.qcow2", "gone.img"), []Statement{is("gone.qcow2"), is("gone.img"), is("other.img")}, 1},
	} {
		met := NewMet(c.trust)
		w := &Walker{Policy: Policy{Trust: c.trust}, Met: met}
		if _, err := w.Walk(context.Background(), c.stated); err != nil {
			t.Fatal(err)
		}
		want := c.trust[len(c.trust)-c.unmet:]
		if got := met.Unmet(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: unmet is %+v, want %+v", c.name, got, want)
		}
		without, _ := (&Walker{Policy: Policy{Trust: c.trust}}).Walk(context.Background(), c.stated)
		with, _ := (&Walker{Policy: Policy{Trust: c.trust}, Met: NewMet(c.trust)}).Walk(context.Background(), c.stated)
		if fmt.Sprint(without.Verdict, without.Findings) != fmt.Sprint(with.Verdict, with.Findings) {
			t.Errorf("%s: to watch changes the answer: %+v, %+v", c.name, without, with)
		}
	}
}

// Concurrent walkers share one Met, which misses nothing.
func TestMetByManyWalkers(t *testing.T) {
	const images, walkers = 200, 8
	var trust []Statement
	for i := range images {
		trust = append(trust, Statement{Path: fmt.Sprint("/gone/", i), Format: probe.Raw})
	}
	trust = append(trust, Statement{Path: "/gone/other", Format: probe.Raw})
	met := NewMet(trust)
	var group sync.WaitGroup
	for n := range walkers {
		group.Go(func() {
			w := &Walker{Policy: Policy{Trust: trust}, Met: met}
			for i := n; i < images; i += walkers {
				name := fmt.Sprint("/gone/", i)
				if _, err := w.Walk(context.Background(), Stated{Layers: []Layer{{Source: storage.LocalSource(name, false), Format: probe.VPC, From: XML}}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if unmet := met.Unmet(); len(unmet) != 1 || unmet[0].Path != "/gone/other" {
		t.Errorf("unmet: %+v", unmet)
	}
	if near := met.Nearest(Statement{Path: "/gon/7"}); near != "/gone/7" {
		t.Errorf("near is %q", near)
	}
}

// countingOpener counts how often each path was identified or opened.
type countingOpener struct {
	storage.FileOpener
	mu    sync.Mutex
	looks map[string]int
}

func (o *countingOpener) ChangeTime(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.FileID, int64, error) {
	path, _ := storage.LocalPath(src)
	o.mu.Lock()
	o.looks[path]++
	o.mu.Unlock()
	return o.FileOpener.ChangeTime(ctx, src)
}

// The files of thousands of statements are identified once for each run, not
// for each disk, watched or not.
func TestStatementsAreLookedAtOnce(t *testing.T) {
	dir := t.TempDir()
	var trust []Statement
	for i := range 2000 {
		trust = append(trust, Statement{Path: fmt.Sprint(dir, "/stated", i), Format: probe.Raw})
	}
	for _, met := range []*Met{nil, NewMet(trust)} {
		o := &countingOpener{looks: make(map[string]int)}
		w := &Walker{Images: image.NewCache(o), Policy: Policy{Trust: trust}, Met: met}
		for i := range 50 {
			name := fmt.Sprint(dir, "/image", i)
			if err := os.WriteFile(name, make([]byte, 1024), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Walk(context.Background(), Stated{Layers: []Layer{{Source: storage.LocalSource(name, false), Format: probe.Raw, From: XML}}}); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range trust {
			if o.looks[s.Path] != 1 {
				t.Fatalf("%q was looked at %d times", s.Path, o.looks[s.Path])
			}
		}
	}
}

// The number of a file that was stated may become another file's within a run.
// The statement does not go over to that.
func TestStatementDoesNotFollowANumber(t *testing.T) {
	dir := t.TempDir()
	write := func(name string) {
		if err := os.WriteFile(dir+"/"+name, make([]byte, 1024), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("stated")
	write("first")
	w := &Walker{Policy: Policy{Trust: []Statement{{Path: dir + "/stated", Format: probe.Qcow2}}}}
	walk := func(name string) Verdict {
		c, err := w.Walk(context.Background(), Stated{Layers: []Layer{{Source: storage.LocalSource(dir+"/"+name, false), Format: probe.Raw, From: XML}}})
		if err != nil {
			t.Fatal(err)
		}
		return c.Verdict
	}
	if v := walk("first"); v != Explicit {
		t.Fatalf("first: %v", v)
	}
	// The same file by a new name, and the stated name another file's.
	if err := os.Rename(dir+"/stated", dir+"/moved"); err != nil {
		t.Fatal(err)
	}
	write("stated")
	if v := walk("moved"); v != Explicit {
		t.Errorf("moved: %v", v)
	}
	if v := walk("stated"); v != Refused {
		t.Errorf("stated: %v", v)
	}
}

// The comparison of names for a warning is fast, whatever the names.
func BenchmarkNearest(b *testing.B) {
	m := NewMet([]Statement{{Path: "/nothing"}})
	r := rand.New(rand.NewPCG(1, 2))
	for range maxMetNames {
		m.image(storage.LocalSource("/"+strings.Repeat("a", 2000+r.IntN(16))+strings.Repeat("b", 1000+r.IntN(16)), false))
	}
	s := Statement{Path: "/" + strings.Repeat("a", 2000) + "c" + strings.Repeat("ab", 500)}
	for b.Loop() {
		m.Nearest(s)
	}
}

// An image on the network has one name, and neither another path nor a pattern
// matches it.
func TestStatementOnTheNetwork(t *testing.T) {
	src := &libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{
		Protocol: "nbd", Name: "base", Hosts: []libvirtxml.DomainDiskSourceHost{{Name: "storage", Port: "10809"}}}}
	for _, c := range []struct {
		statement Statement
		want      probe.Format
	}{
		{Statement{Path: "nbd://storage:10809/base", Format: probe.Qcow2}, probe.Qcow2},
		{Statement{Path: "nbd://storage:10809/other", Format: probe.Qcow2}, ""},
		{Statement{Path: "nbd://storage:10809/*", Pattern: true, Format: probe.Qcow2}, ""},
		{Statement{Path: "nbd:/*/*", Pattern: true, Format: probe.Qcow2}, ""},
	} {
		k := &walk{Walker: &Walker{Images: image.NewCache(storage.FileOpener{}), Policy: Policy{Trust: []Statement{c.statement}}}, ctx: context.Background(), chain: &Chain{}}
		k.prepare()
		if f, ok := k.trusted(src); f.Format != c.want || ok != (c.want != "") {
			t.Errorf("%+v: %q, %v, want %q", c.statement, f.Format, ok, c.want)
		}
	}
}
