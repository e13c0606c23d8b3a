package host_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// madeUp is a host of made-up guests over a few images that they share.
type madeUp struct {
	storedHost
	draw   *rapid.T
	images []string
	// typed are the images with a format in the <driver type> of a current
	// definition or a running guest.
	typed map[string]bool
}

const madeUpImages = 6

func newMadeUp(t *testing.T, draw *rapid.T) *madeUp {
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	h := &madeUp{storedHost{t, dir}, draw, nil, make(map[string]bool)}
	for i := range madeUpImages {
		h.images = append(h.images, fmt.Sprintf("i%d", i))
	}
	for i, name := range h.images {
		h.image(name, h.images[i+1:])
	}
	for i := range 4 {
		h.someGuest(fmt.Sprintf("g%d", i))
	}
	return h
}

func pick[T any](draw *rapid.T, from ...T) T { return rapid.SampledFrom(from).Draw(draw, "one") }

// image makes an image over one of others.
func (h *madeUp) image(name string, others []string) {
	if pick(h.draw, true, false, false, false) {
		h.write(name, []byte(strings.Repeat(pick(h.draw, "x", "\x00"), 8192)))
		return
	}
	image := mkimage.Qcow2{VirtualSize: imageSize}
	if len(others) > 0 && pick(h.draw, true, true, false) {
		image.Backing = pick(h.draw, others...)
		image.BackingFormat = pick(h.draw, "", "", "raw", "qcow2")
	}
	content, err := image.Bytes()
	if err != nil {
		h.Fatal(err)
	}
	h.write(name, content)
}

func (h *madeUp) someGuest(name string) {
	if pick(h.draw, true, true, true, false) {
		h.guest(name, h.disks(true))
	} else {
		h.guest(name, "")
	}
	switch pick(h.draw, "", "", "", "snapshot", "running", "saved") {
	case "snapshot":
		h.snapshot(name, pick(h.draw, "domain", "inactiveDomain"), h.disks(false))
	case "running":
		h.running(pick(h.draw, name, "transient"), h.disks(true))
	case "saved":
		h.saved(name, h.disks(false))
	}
}

// disks are those of a definition; now says whether its word counts.
func (h *madeUp) disks(now bool) string {
	var all []string
	for i := range pick(h.draw, 1, 1, 2) {
		own := pick(h.draw, h.images...)
		format := pick(h.draw, "qcow2", "qcow2", "qcow2", "raw", "")
		driver := "<driver name='qemu' type='" + format + "'/>"
		if format == "" {
			driver = ""
		}
		if now && format == "qcow2" {
			h.typed[own] = true
		}
		lower := ""
		if format == "qcow2" && pick(h.draw, true, false, false) {
			end := pick(h.draw, "<backingStore/>", "")
			lower = "<backingStore type='file'><format type='" + pick(h.draw, "raw", "qcow2") + "'/><source file='DIR/" + pick(h.draw, h.images...) + "'/>" + end + "</backingStore>"
		}
		all = append(all, fmt.Sprintf("<disk %s>%s<source file='DIR/%s'/>%s<target dev='vd%c' bus='virtio'/>%s</disk>",
			fileDisk, driver, own, lower, 'a'+i, pick(h.draw, "", "", "", "<readonly/>")))
	}
	return strings.Join(all, "")
}

// TestOnlyADriverTypeIsAStatement: in made-up hosts, a format that another disk
// stated is always that of a <driver type> of now.
func TestOnlyADriverTypeIsAStatement(t *testing.T) {
	told := 0
	rapid.Check(t, func(draw *rapid.T) {
		h := newMadeUp(t, draw)
		for name, report := range h.scan(&host.Scan{}) {
			for _, disk := range report.Examination.Disks {
				if disk.Chain == nil {
					continue
				}
				for _, layer := range disk.Chain.Layers {
					path, _ := storage.LocalPath(layer.Source)
					if layer.From == chain.Libvirt {
						told++
						if !h.typed[filepath.Base(path)] {
							draw.Fatalf("%s: nobody states the format of %q", name, path)
						}
					}
				}
			}
		}
	})
	if told == 0 {
		t.Error("no format was stated by another disk: that is no good sample")
	}
}

// verdicts tells of each disk of a report what is found of it.
func verdicts(r *host.Report) []string {
	var all []string
	for _, disk := range r.Examination.Disks {
		text := disk.Verdict().String()
		if disk.Chain != nil {
			for _, layer := range disk.Chain.Layers {
				text += fmt.Sprintf(" %s/%s", storage.Describe(layer.Source), layer.Format)
			}
		}
		all = append(all, text)
	}
	return all
}

// everything is all that a report and its warnings say.
func everything(t *testing.T, h *madeUp, jobs int) string {
	t.Helper()
	var text strings.Builder
	scan := &host.Scan{Inventory: h.folder(), Requests: limit.New(jobs, time.Minute), Targets: []libvirt.Pair{{Libvirt: libvirt.Version{Major: 9}}, {Libvirt: libvirt.Version{Major: 12, Minor: 8}}},
		Warn: func(name string, err error) { fmt.Fprintf(&text, "%s: %v\n", name, err) }}
	for r, err := range scan.Reports(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "%s %v %+v %+v\n", r.Guest, r.Err, r.Findings, r.Predictions)
		if r.Err == nil {
			for _, disk := range r.Examination.Disks {
				fmt.Fprintf(&text, "  %s %v\n", disk.Target, disk.Err)
				if disk.Chain != nil {
					fmt.Fprintf(&text, "    %v %+v\n", disk.Chain.Verdict, disk.Chain.Findings)
				}
			}
			fmt.Fprintf(&text, "  %q\n", verdicts(r))
		}
	}
	return text.String()
}

// TestAnyNumberOfWorkersSaysTheSame: of a made-up host the reports and the warnings are
// the same, in the same order, however many images are asked for at the same time.
func TestAnyNumberOfWorkersSaysTheSame(t *testing.T) {
	rapid.Check(t, func(draw *rapid.T) {
		h := newMadeUp(t, draw)
		one := everything(t, h, 1)
		jobs := rapid.IntRange(2, 100).Draw(draw, "jobs")
		for range 3 {
			if diff := cmp.Diff(one, everything(t, h, jobs)); diff != "" {
				draw.Fatalf("with %d workers (-one):\n%s", jobs, diff)
			}
		}
	})
}

// TestApplyingChangesNothingForOthers: whichever guests of a made-up host are made
// explicit, in whatever order, no verdict and no format of any other guest is
// another afterwards.
func TestApplyingChangesNothingForOthers(t *testing.T) {
	changed := 0
	rapid.Check(t, func(draw *rapid.T) {
		h := newMadeUp(t, draw)
		rule := pick(draw, chain.Leaf, chain.Leaf, chain.Strict, chain.Declared)
		whose := pick(draw, chain.RefuseDisagreement, chain.HeadersWin, chain.XMLWins)
		scan := func() map[string]*host.Report {
			return h.scan(&host.Scan{Policy: chain.Policy{Rule: rule, Disagreement: whose}})
		}
		reports := scan()
		before := make(map[string][]string)
		var names []string
		for name, report := range reports {
			before[name] = verdicts(report)
			names = append(names, name)
		}
		slices.Sort(names)
		applied := make(map[string]bool)
		for range rapid.IntRange(1, 3).Draw(draw, "guests") {
			name := pick(draw, names...)
			if report := reports[name]; report.Verdict() == chain.Fixable && !applied[name] {
				fixed, err := report.Examination.Document.Bytes()
				if err != nil {
					draw.Fatal(err)
				}
				h.write("etc/libvirt/qemu/"+name+".xml", fixed)
				applied[name] = true
				changed++
			}
			reports = scan()
			for other, report := range reports {
				if after := verdicts(report); !applied[other] && !slices.Equal(after, before[other]) {
					draw.Fatalf("after %v were made explicit, %s is\n%q, and was\n%q", applied, other, after, before[other])
				}
			}
		}
	})
	if changed == 0 {
		t.Error("nothing was made explicit: that is no good sample")
	}
}
