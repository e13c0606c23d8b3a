package host_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/collect"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

// TestReportsAddUp: in the report on a made-up host the numbers are all guests together, every guest
// is in one problem unless it is fine, and the images are those of the chains, each once.
func TestReportsAddUp(t *testing.T) {
	states := make(map[report.State]int)
	rapid.Check(t, func(draw *rapid.T) {
		h := newMadeUp(t, draw)
		if pick(draw, true, false, false) {
			h.write("etc/libvirt/qemu/unread.xml", []byte(pick(draw, "<pool/>", "<domain>", "<!DOCTYPE x><domain type='kvm'><name>unread</name></domain>")))
		}
		targets := pick(draw, nil, []libvirt.Pair{{Libvirt: libvirt.Version{Major: 9}}}, []libvirt.Pair{{Libvirt: libvirt.Version{Major: 5}}, {Libvirt: libvirt.Version{Major: 11, Minor: 3}}})
		scan := &host.Scan{Inventory: h.folder(), Targets: targets, Policy: chain.Policy{Rule: pick(draw, chain.Leaf, chain.Strict)}}
		collector := collect.NewCollector(report.Run{}, libvirt.Version{})
		var guests []report.Guest
		for r, err := range scan.Reports(t.Context()) {
			must(h.storedHost, err)
			guests = append(guests, collector.Add(r))
		}
		checkReport(draw, collector.End(), guests)
		for _, g := range guests {
			states[g.State]++
		}
	})
	for _, state := range []report.State{report.WillNotStart, report.WrongData, report.Guessed, report.Unreadable, report.Fine} {
		if states[state] == 0 {
			t.Errorf("no guest was %s", state)
		}
	}
}

func checkReport(t *rapid.T, h report.Host, guests []report.Guest) {
	sum := func(counts map[string]int) (n int) {
		for _, count := range counts {
			n += count
		}
		return n
	}
	ofState := make(map[report.State]int)
	for _, g := range guests {
		ofState[g.State]++
	}
	all := 0
	for state, n := range h.Summary.States {
		if all += n; n != ofState[state] {
			t.Errorf("%d guests are %s, and %d counted", ofState[state], state, n)
		}
	}
	if n := len(guests); h.Summary.Guests != n || all != n || sum(h.Summary.Verdicts) != n {
		t.Errorf("of %d guests %+v", n, h.Summary)
	}
	for target, counts := range h.Summary.Outcomes {
		if sum(counts) != len(guests) {
			t.Errorf("of %d guests libvirt %s %v", len(guests), target, counts)
		}
	}

	problems := make(map[string]int)
	for _, p := range h.Problems {
		for _, name := range p.Guests {
			problems[name]++
			if i := slices.IndexFunc(guests, func(g report.Guest) bool { return g.Name == name }); i < 0 || guests[i].State != p.State {
				t.Errorf("%q is in the problem %+v", name, p)
			}
		}
		if p.Text == "" {
			t.Errorf("nothing is said of %+v", p)
		}
	}
	images := make(map[string]*report.Image)
	named, files := make(map[string]bool), make(map[[2]string]bool)
	for i := range h.Images {
		image := &h.Images[i]
		images[image.Key] = image
		for _, name := range image.Names {
			if named[name] {
				t.Errorf("%q is two images", name)
			}
			named[name] = true
		}
		if file := [2]string{image.Device, image.Inode}; file[1] != "" && files[file] {
			t.Errorf("%v is two images", file)
		} else {
			files[file] = true
		}
	}
	used := make(map[string]bool)
	for _, g := range guests {
		if want := map[bool]int{false: 1}[g.State == report.Fine]; problems[g.Name] != want {
			t.Errorf("%s, which is %s, is in %d problems", g.Name, g.State, problems[g.Name])
		}
		for _, disk := range g.Disks {
			for n, layer := range disk.Layers {
				image := images[layer.Image]
				if image == nil || !slices.Contains(image.Guests, g.Name) {
					t.Fatalf("the image of %+v of %s is %+v", layer, g.Name, image)
				}
				used[image.Key] = true
				writes := slices.Contains(image.Writers, report.DiskRef{Guest: g.Name, Target: disk.Target})
				if n == 0 && writes == disk.ReadOnly {
					t.Errorf("%+v, written: %v", disk, writes)
				}
			}
		}
	}
	if len(used) != len(h.Images) {
		t.Errorf("of %d images %d are in a chain", len(h.Images), len(used))
	}
	about := func(key string) {
		if key != "" && images[key] == nil {
			t.Errorf("there is no image %q", key)
		}
	}
	for _, p := range h.Problems {
		about(p.Image)
	}
	for _, d := range h.Decisions {
		about(d.Image)
	}
	for _, i := range h.Images {
		about(i.Below)
		about(i.DataFile)
	}
}
