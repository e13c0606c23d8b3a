package tree_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/tree"
)

// host is a made-up report.
type host struct {
	report.Host
	keys map[string]string
}

func newHost() *host { return &host{keys: make(map[string]string)} }

// image returns an image by name, a new one as qcow2.
func (h *host) image(name string) *report.Image {
	if h.keys[name] == "" {
		h.keys[name] = fmt.Sprintf("i%d", len(h.Images)+1)
		h.Images = append(h.Images, report.Image{Key: h.keys[name], Name: name, QEMUFormat: "qcow2", From: "header"})
	}
	for i := range h.Images {
		if h.Images[i].Key == h.keys[name] {
			return &h.Images[i]
		}
	}
	return nil
}

// guest adds one with a disk for each chain, the top first.
func (h *host) guest(name string, chains ...[]string) *report.Guest {
	g := report.Guest{Name: name, State: report.Fine}
	for i, chain := range chains {
		d := report.Disk{Target: fmt.Sprintf("vd%c", 'a'+i)}
		for _, image := range chain {
			d.Layers = append(d.Layers, report.Layer{Image: h.image(image).Key})
		}
		if len(chain) > 0 {
			top := h.image(chain[0])
			top.Writers = append(top.Writers, report.DiskRef{Guest: name, Target: d.Target})
		}
		g.Disks = append(g.Disks, d)
	}
	h.Guests = append(h.Guests, g)
	return &h.Guests[len(h.Guests)-1]
}

func (h *host) draw(t interface{ Fatal(...any) }, o tree.Options) string {
	var b strings.Builder
	if err := tree.Draw(&b, &h.Host, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func sample() *host {
	h := newHost()
	for i := range 5 {
		h.guest(fmt.Sprintf("web%d", i), []string{fmt.Sprintf("/images/web%d.qcow2", i), "/images/base.qcow2"})
	}
	h.guest("db", []string{"/images/db.qcow2", "/images/base.qcow2"}, []string{"/images/data.img"}).Active = true
	gone := h.guest("gone", []string{"/images/gone.qcow2", "/images/nothere.img"})
	gone.Disks[0].Because = "refused"
	h.image("/images/nothere.img").Exists = new(false)
	h.image("/images/data.img").QEMUFormat, h.image("/images/data.img").From = "raw", "probe"
	lost := h.guest("lost", []string{"/images/lost.qcow2", "/images/middle.img"})
	lost.Disks[0].Findings = []report.Finding{{Code: "probed-backing", Level: "error", Layer: new(1)}}
	h.Decisions = []report.Decision{{Code: "probed-backing", Image: h.image("/images/middle.img").Key, Answers: []report.Answer{{Format: "raw", Flag: "--trust"}}}}
	round := h.guest("round", []string{"/images/round.qcow2"})
	round.Disks[0].Findings = []report.Finding{{Code: "chain-loop", Level: "error", Layer: new(0)}}
	two := h.image("/images/two.img")
	two.QEMUFormat, two.From = "", ""
	for _, format := range []string{"raw", "qcow2"} {
		h.guest("as-"+format, []string{"/images/" + format + ".qcow2", "/images/two.img"}).Disks[0].Layers[1].QEMUFormat = format
	}
	middle := h.image("/images/middle.img")
	middle.QEMUFormat, middle.From, middle.Backing = "", "", `"/images/other.img"`
	h.guest("writer", []string{"/images/base.qcow2"})
	h.guest("diskless")
	h.guest("odd", nil).Disks[0].Verdict = "refused"
	h.guest("bad").State = report.Unreadable
	return h
}

// TestTree: bases come first and once, their overlays below; equal nodes are folded;
// remarks say what is broken or guessed.
func TestTree(t *testing.T) {
	want := `/images/base.qcow2  (qcow2, WRITTEN TO by writer vda)
├─ 5 images: /images/web0.qcow2, /images/web1.qcow2, /images/web2.qcow2, /images/web3.qcow2, /images/web4.qcow2  (qcow2)
│  └─ 5 disks: web0 vda, web1 vda, web2 vda, web3 vda, web4 vda
├─ /images/db.qcow2  (qcow2)
│  └─ db vda  (running)
└─ writer vda
/images/data.img  (raw, guessed from its header)
└─ db vdb  (running)
/images/nothere.img  (qcow2, DOES NOT EXIST)
└─ /images/gone.qcow2  (qcow2)
   └─ gone vda  (will not start)
/images/middle.img  (format not known, NEEDS A DECISION: probed-backing, its header names "/images/other.img", which is not followed)
└─ /images/lost.qcow2  (qcow2)
   └─ lost vda
/images/round.qcow2  (qcow2, CANNOT BE FIXED: chain-loop)
└─ round vda
/images/two.img  (as raw and as qcow2)
├─ /images/raw.qcow2  (qcow2)
│  └─ as-raw vda
└─ /images/qcow2.qcow2  (qcow2)
   └─ as-qcow2 vda
guests whose definition cannot be read: bad
guests whose disks cannot be read: odd
guests without images: diskless
`
	if got := sample().draw(t, tree.Options{}); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	want = "`- /images/lost.qcow2  (qcow2)\n   `- lost vda\n"
	got := sample().draw(t, tree.Options{Width: 40, ASCII: true})
	if !strings.Contains(got, want) || !strings.Contains(got, "\n/images/middle.img\n   format not known, NEEDS A DECISION:\n   probed-backing, its header names\n   \"/images/other.img\", which is not\n   followed\n") {
		t.Errorf("in 40 columns:\n%s", got)
	}
}

// TestLongChains: the margin does not grow with the chain.
func TestLongChains(t *testing.T) {
	h := newHost()
	var chain []string
	for i := range 200 {
		chain = append(chain, fmt.Sprintf("/images/%d", i))
	}
	h.guest("deep", chain)
	got := h.draw(t, tree.Options{Width: 60})
	lines := strings.Split(got, "\n")
	if len(lines) != 202 || lines[200] != "   └─ deep vda" || lines[199] != "   ↑ /images/0  (qcow2)" {
		t.Errorf("%d lines\n%s", len(lines), got)
	}
}

// TestOddChains: a loop, two chains with their images in reverse order, and an image with
// two backing images.
func TestOddChains(t *testing.T) {
	h := newHost()
	h.guest("loop", []string{"/a", "/b", "/a"})
	h.guest("other", []string{"/b", "/a"})
	h.guest("two", []string{"/t", "/m", "/c"}, []string{"/m", "/d"})
	want := `/b  (qcow2, WRITTEN TO by other vda)
├─ /a  (qcow2)
│  └─ loop vda
└─ other vda
/c  (qcow2)
└─ /m  (qcow2, WRITTEN TO by two vdb)
   ├─ /t  (qcow2)
   │  └─ two vda
   └─ two vdb
/d  (qcow2)
└─ /m  (its overlays are drawn elsewhere)
`
	if got := h.draw(t, tree.Options{}); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestAnyHostIsDrawn: whatever the names and the chains, a line has room on the terminal and no
// sign that drives it, and every image and disk is drawn or counted.
func TestAnyHostIsDrawn(t *testing.T) {
	rapid.Check(t, func(draw *rapid.T) {
		h := newHost()
		names := rapid.SliceOfNDistinct(rapid.OneOf(rapid.String(), rapid.StringMatching(`/images/[a-z]{1,40}`)), 1, 12, rapid.ID).Draw(draw, "images")
		for i := range rapid.IntRange(0, 8).Draw(draw, "guests") {
			h.guest(fmt.Sprintf("g%d\u202e\n", i), rapid.SliceOfN(rapid.SampledFrom(names), 0, 5).Draw(draw, "chain"))
		}
		for _, width := range []int{0, 1, 20, 80} {
			for line := range strings.Lines(h.draw(t, tree.Options{Width: width})) {
				line = strings.TrimSuffix(line, "\n")
				if width > 0 && utf8.RuneCountInString(line) > width {
					draw.Fatalf("in %d columns: %q", width, line)
				}
				if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == '\u202e' || r == 0x7f }) {
					draw.Fatalf("%q", line)
				}
			}
		}
		all := h.draw(t, tree.Options{})
		for _, image := range h.Images {
			stated := fmt.Sprintf("%q", image.Name)
			if plain := strings.Trim(stated, `"`); !strings.Contains(all, plain) && !strings.Contains(all, "images: ") {
				draw.Fatalf("%s is not drawn:\n%s", stated, all)
			}
		}
	})
}
