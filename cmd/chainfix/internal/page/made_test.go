package page_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/page"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

// made builds consistent reports by hand.
type made struct {
	*report.Host
}

const (
	older = "9.0.0"
	newer = "11.3.0+10.0.0"
)

func newMade(host string) *made {
	return &made{Host: &report.Host{
		Schema: "chainfix/host/v1", Libvirt: older,
		Run: report.Run{Host: host, Source: "qemu:///system", Chainfix: "v0.9.0", Time: time.Date(2026, 11, 28, 20, 9, 0, 0, time.UTC),
			Rule: "leaf", Policy: "/etc/chainfix/policy.yaml", Targets: []string{older, newer}},
		Summary: report.Summary{States: make(map[report.State]int), Verdicts: make(map[string]int), Outcomes: map[string]map[string]int{older: {}, newer: {}}},
	}}
}

func pointer[T any](v T) *T { return &v }

// image adds an image above another one, or above none.
func (m *made) image(name, format, below string) *report.Image {
	m.Images = append(m.Images, report.Image{
		Key: fmt.Sprintf("i%d", len(m.Images)+1), Name: name, Names: []string{name}, Exists: pointer(true), Source: report.Source{Type: "file", File: name},
		Format: format, QEMUFormat: format, Claims: format, From: "header", VirtualSize: pointer(uint64(20 << 30)), Below: m.key(below),
	})
	return &m.Images[len(m.Images)-1]
}

func (m *made) key(name string) string {
	if i := m.find(name); i != nil {
		return i.Key
	}
	return ""
}

func (m *made) find(name string) *report.Image {
	for i := range m.Images {
		if m.Images[i].Name == name {
			return &m.Images[i]
		}
	}
	return nil
}

// guest adds a guest with one disk, whose chain is that of its image. Formats that the images have as From
// "" nobody states.
func (m *made) guest(name, image string, state report.State) *report.Guest {
	g := report.Guest{Name: name, UUID: "6f0e33c2-8d3f-4b43-9b0a-000000000000", State: state, Outcome: make(map[string]string)}
	d := report.Disk{Target: "vda", Device: "disk", Bus: "virtio", Prediction: make(map[string]string), Reason: make(map[string]string)}
	for i := m.find(image); i != nil; {
		d.Layers = append(d.Layers, report.Layer{Image: i.Key, Format: i.Format, From: i.From, Source: i.Source})
		i.Guests = append(i.Guests, name)
		below := i.Below
		i = nil
		for j := range m.Images {
			if m.Images[j].Key == below {
				i = &m.Images[j]
			}
		}
	}
	d.Verdict, d.Needed = "fixable", pointer(state != report.Fine)
	words := map[report.State][2]string{
		report.WillNotStart: {"starts", "refuses"}, report.WrongData: {"misopens", "misopens"}, report.Guessed: {"starts", "starts"},
		report.Unknown: {"unknown", "unknown"}, report.Unreadable: {"unknown", "unknown"}, report.Fine: {"starts", "starts"},
	}[state]
	for i, target := range []string{older, newer} {
		g.Outcome[target], d.Prediction[target] = words[i], words[i]
		m.Summary.Outcomes[target][words[i]]++
	}
	if state == report.WillNotStart {
		d.Verdict = "refused"
		d.Reason[newer] = fmt.Sprintf("Requested operation is not valid: format of backing image of image '%s' was not specified in the image metadata", image)
	}
	g.Verdict, g.Needed, g.Disks = d.Verdict, d.Needed, []report.Disk{d}
	m.Summary.Guests++
	m.Summary.States[state]++
	m.Summary.Verdicts[g.Verdict]++
	m.Guests = append(m.Guests, g)
	return &m.Guests[len(m.Guests)-1]
}

// names of all guests of a state whose name begins in one way.
func (m *made) named(prefix string) []string {
	var all []string
	for _, g := range m.Guests {
		if strings.HasPrefix(g.Name, prefix) {
			all = append(all, g.Name)
		}
	}
	return all
}

const images = "/var/lib/libvirt/images/"

// undecided adds a base of unrecorded format, with its guests and its decision.
func (m *made) undecided(base, guest string, guests int) {
	i := m.image(images+base, "", "")
	i.Claims, i.Backing, i.From, i.Problem, i.QEMUFormat = "qcow2", `"system.img"`, "", true, ""
	key := i.Key
	for n := range guests {
		name := fmt.Sprintf("%s%02d", guest, n+1)
		m.image(images+name+".qcow2", "qcow2", images+base)
		m.guest(name, images+name+".qcow2", report.WillNotStart)
	}
	m.Problems = append(m.Problems, report.Problem{State: report.WillNotStart, Code: "probed-backing", Image: key, Guests: m.named(guest),
		Text: fmt.Sprintf("the format of %q is not recorded; its header claims a backing image", images+base),
		Hint: `its header claims qcow2 and names "system.img"; state its format: --trust ` + images + base + "=qcow2 (or =raw)"})
	m.Decisions = append(m.Decisions, report.Decision{Code: "probed-backing", Image: key, Name: images + base, Guests: m.named(guest),
		Question: fmt.Sprintf("what is %q? its format is not recorded", images+base), Claims: `qcow2 of 20 GiB, and names "system.img"`,
		For: []string{`the disk "vda" of the guest "build" states that it is qcow2`}, Against: []string{`its name ends in ".img"`, `it was the raw disk "vda" of the guest "old", which may have written its header`},
		Answers: []report.Answer{{Format: "qcow2", Flag: "--trust " + images + base + "=qcow2"}, {Format: "raw", Flag: "--trust " + images + base + "=raw"}},
		Hint:    "qemu-img rebase -u records it in the overlays; or say what it is"})
}

// small is a host with 15 guests and something of everything.
func small() *report.Host {
	m := newMade("hypervisor1")
	m.undecided("base.img", "shop", 5)
	gone := m.image(images+"gone.qcow2", "", "")
	gone.Exists, gone.Problem, gone.VirtualSize, gone.Claims = pointer(false), true, nil, ""
	m.image(images+"mail.qcow2", "qcow2", images+"gone.qcow2")
	m.guest("mail", images+"mail.qcow2", report.WillNotStart)
	m.Problems = append(m.Problems, report.Problem{State: report.WillNotStart, Code: "image-missing", Image: m.key(images + "gone.qcow2"), Guests: []string{"mail"},
		Text: fmt.Sprintf("%q does not exist", images+"gone.qcow2"), Hint: "restore it, or take the disk out of the definition"})
	m.Decisions = append(m.Decisions, report.Decision{Code: "image-missing", Image: m.key(images + "gone.qcow2"), Name: images + "gone.qcow2", Guests: []string{"mail"},
		Question: fmt.Sprintf("the backing image %q does not exist", images+"gone.qcow2"), Hint: "restore it, or take the disk out of the definition"})
	raw := m.image(images+"debian-12.img", "raw", "")
	raw.From = "probe"
	for _, name := range []string{"web1", "web2", "web3", "web4"} {
		m.image(images+name+".qcow2", "qcow2", images+"debian-12.img")
		m.guest(name, images+name+".qcow2", report.Guessed).Active = true
	}
	m.Problems = append(m.Problems, report.Problem{State: report.Guessed, Code: "probed-backing", Image: m.key(images + "debian-12.img"), Guests: m.named("web"),
		Text: fmt.Sprintf("the format of %q is not recorded", images+"debian-12.img"), Hint: "chainfix host apply writes it down"})
	m.image("nbd://storage:10809/db", "raw", "")
	m.image(images+"db-snapshot.qcow2", "qcow2", "nbd://storage:10809/db")
	m.image(images+"db.qcow2", "qcow2", images+"db-snapshot.qcow2")
	m.guest("db", images+"db.qcow2", report.Fine)
	for _, name := range []string{"dns", "git", "monitor", "proxy"} {
		m.image(images+name+".img", "raw", "")
		m.guest(name, images+name+".img", report.Fine)
	}
	m.Summary.Change = 4
	return m.Host
}

// large is a host with many guests: some wait for a decision, some are guessed, most are fine.
func large(guests int) *report.Host {
	m := newMade("hypervisor2")
	m.undecided("base.img", "shop", guests/20)
	m.undecided("old.img", "vm", guests/20)
	template := m.image(images+"debian-12.img", "raw", "")
	template.From = "probe"
	base, guessed, fine := template.Key, guests/5, guests-guests/20*2-guests/5
	for n := range guests {
		name, state, image := fmt.Sprintf("web%04d", n), report.Guessed, report.Image{Below: base}
		switch {
		case n >= guessed+fine:
			continue
		case n >= guessed:
			name, state, image.Below = fmt.Sprintf("guest%04d", n), report.Fine, ""
		}
		image = report.Image{Key: fmt.Sprintf("i%d", len(m.Images)+1), Name: images + name + ".qcow2", Names: []string{images + name + ".qcow2"}, Exists: pointer(true),
			Format: "qcow2", QEMUFormat: "qcow2", Claims: "qcow2", From: "xml", VirtualSize: pointer(uint64(20 << 30)), Below: image.Below, Guests: []string{name}}
		m.Images = append(m.Images, image)
		g := report.Guest{Name: name, State: state, Verdict: "fixable", Needed: pointer(state == report.Guessed), Outcome: map[string]string{older: "starts", newer: "starts"},
			Disks: []report.Disk{{Target: "vda", Verdict: "fixable", Needed: pointer(state == report.Guessed), Layers: []report.Layer{{Image: image.Key, Format: "qcow2", From: "xml"}}}}}
		if state == report.Guessed {
			g.Disks[0].Layers = append(g.Disks[0].Layers, report.Layer{Image: base, Format: "raw", From: "probe"})
		}
		m.Guests = append(m.Guests, g)
		m.Summary.Guests++
		m.Summary.States[state]++
		m.Summary.Verdicts["fixable"]++
		m.Summary.Outcomes[older]["starts"]++
		m.Summary.Outcomes[newer]["starts"]++
	}
	m.Problems = append(m.Problems, report.Problem{State: report.Guessed, Image: base, Guests: m.named("web"), Text: fmt.Sprintf("the format of %q is not recorded", images+"debian-12.img")})
	m.Summary.Change = guessed
	return m.Host
}

// odd is a host of chains that are hard to draw, and of names that are hard to write.
func odd() *report.Host {
	m := newMade("ho<b>st\u202e")
	// One chain of 200 layers, with a base that is missing in the middle of nothing.
	for n := range 200 {
		m.image(fmt.Sprintf("/deep/layer%03d", n), "qcow2", fmt.Sprintf("/deep/layer%03d", n-1))
	}
	m.guest("deep", "/deep/layer199", report.Fine)
	// A branch on each of 30 layers.
	for n := range 30 {
		i := m.image(fmt.Sprintf("/comb/layer%02d", n), "qcow2", fmt.Sprintf("/comb/layer%02d", n-1))
		i.Problem = n == 3
		m.image(fmt.Sprintf("/comb/branch%02d", n), "qed", fmt.Sprintf("/comb/layer%02d", n))
	}
	m.guest("comb", "/comb/layer29", report.WillNotStart)
	// A circle.
	for n := range 3 {
		m.image(fmt.Sprintf("/circle/%d", n), "qcow2", fmt.Sprintf("/circle/%d", n-1))
	}
	m.find("/circle/0").Below = m.key("/circle/2")
	m.guest("circle", "/deep/layer000", report.WrongData)
	// A base that its guest writes to, and one with its data elsewhere.
	m.image("/images/data.raw", "raw", "")
	base := m.image("/images/"+strings.Repeat("long", 1000), "qcow2", "")
	base.DataFile = m.key("/images/data.raw")
	base.Writers = []report.DiskRef{{Guest: "</bdi><script>", Target: "vda"}}
	base.Names = append(base.Names, "/images/other \u2066name")
	m.image("/images/\u05d0\u05d1\u05d2 \u202e<i>", "qcow2", base.Name)
	m.guest("</bdi><script>", base.Name, report.Unknown)
	m.guest("\u05d0\u05d1\u05d2"+strings.Repeat("x", 4000), "/images/\u05d0\u05d1\u05d2 \u202e<i>", report.Unreadable).Findings =
		[]report.Finding{{Code: "base-written", Level: "warning", Text: "a base is written to"}}
	return m.Host
}

type madePage struct {
	name  string
	hosts []page.Host
	drawn bool // by the test of this package
}

// hosts are what the tests of all pages look at.
func hosts() []madePage {
	return []madePage{
		{"15", []page.Host{{Report: small()}}, false},
		{"300", []page.Host{{Report: large(300)}}, false},
		{"5000", []page.Host{{Report: large(5000)}}, false},
		{"odd", []page.Host{{Report: odd()}}, true},
		{"fleet", []page.Host{{Report: small()}, {Name: "hypervisor2", Report: large(300)}, {Name: "hypervisor3", Error: "not reached"}}, true},
		{"apart", []page.Host{{Report: scattered(5000)}}, true},
	}
}

// scattered is a host whose guests each have their own missing image and their own decision.
func scattered(guests int) *report.Host {
	m := newMade("hypervisor3")
	for n := range guests {
		base := report.Image{Key: fmt.Sprintf("b%d", n), Name: fmt.Sprintf("%sgone%04d.qcow2", images, n), Exists: pointer(false), Problem: true}
		top := report.Image{Key: fmt.Sprintf("t%d", n), Name: fmt.Sprintf("%stop%04d.qcow2", images, n), Exists: pointer(true), Format: "qcow2", Claims: "qcow2", QEMUFormat: "qcow2", Below: base.Key}
		name := fmt.Sprintf("guest%04d", n)
		base.Names, top.Names, base.Guests, top.Guests = []string{base.Name}, []string{top.Name}, []string{name}, []string{name}
		m.Images = append(m.Images, base, top)
		reason := map[string]string{older: "Cannot access storage file '" + base.Name + "': No such file or directory", newer: "Cannot access storage file '" + base.Name + "': No such file or directory"}
		refuses := map[string]string{older: "refuses", newer: "refuses"}
		m.Guests = append(m.Guests, report.Guest{Name: name, State: report.WillNotStart, Verdict: "refused", Needed: pointer(true), Outcome: refuses, Disks: []report.Disk{{
			Target: "vda", Verdict: "refused", Needed: pointer(true), Prediction: refuses, Reason: reason, Layers: []report.Layer{{Image: top.Key, Format: "qcow2"}, {Image: base.Key}}}}})
		m.Problems = append(m.Problems, report.Problem{State: report.WillNotStart, Code: "image-missing", Image: base.Key, Text: fmt.Sprintf("%q does not exist", base.Name), Hint: "restore it, or take the disk out of the definition", Guests: []string{name}})
		m.Decisions = append(m.Decisions, report.Decision{Code: "image-missing", Image: base.Key, Name: base.Name, Question: fmt.Sprintf("the image %q does not exist", base.Name), Hint: "restore it, or take the disk out of the definition",
			Answers: []report.Answer{{Command: "qemu-img rebase -u -b BACKING -F FORMAT " + top.Name}}, Guests: []string{name}})
		m.Summary.Guests++
		m.Summary.States[report.WillNotStart]++
		m.Summary.Verdicts["refused"]++
		m.Summary.Outcomes[older]["refuses"]++
		m.Summary.Outcomes[newer]["refuses"]++
	}
	return m.Host
}
