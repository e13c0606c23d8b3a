// Package rebase writes shell scripts that record the formats of backing
// images in the headers of their overlays, with "qemu-img rebase -u", and
// scripts that undo that. It does not write to images itself.
//
// A [Plan] collects the overlays that record no format from the reports of a
// [host.Scan], and [Plan.Write] writes the scripts:
//
//	plan := rebase.NewPlan(uri, requests)
//	for report, err := range scan.Reports(ctx) {
//		...
//		plan.Add(report)
//	}
//	summary, err := plan.Write(ctx, "/root/record.sh")
//
// # What is recorded
//
// Only stated formats: by the operator, a <driver type>, or another overlay of
// the host that records it for the same image. A format from an image's own
// header, or only from an XML's <backingStore>, becomes a question in the
// script, not a command.
//
// # Assumptions
//
// qemu-img 7.2 adds one header extension, and changes nothing after the first
// cluster, unless the image has bitmaps, which it moves. So restoring the
// first cluster undoes the record, as long as nobody has written to the image.
// No qemu-img since 7.2 can remove a record.
package rebase

import (
	"slices"
	"strconv"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/probe"
)

// Plan collects the overlays of a host that record no format for their backing
// image. An image of several disks is in it once.
type Plan struct {
	libvirt  string // the URI of the libvirt that has the guests
	requests *limit.Requests

	overlays []*overlay // in the order in which they were found
	byID     map[storage.FileID]*overlay
	records  map[storage.FileID][]record // formats that overlays record for an image
}

// record is a format that an overlay's header records.
type record struct {
	format probe.Format
	by     string // the overlay, for messages
}

// overlay is an image whose header does not record the format of its backing
// image.
type overlay struct {
	layer  chain.Layer
	guests []string // that use it, each as "UUID QUOTED-NAME"

	// backing is its backing layer; the zero Layer if no walk reached that.
	backing chain.Layer
	stated  []probe.Format // by somebody
	guessed []probe.Format // by a rule, or by an XML's <backingStore> alone
	refused []finding.Finding
}

// NewPlan returns an empty plan for the guests of the libvirt at this URI,
// which the scripts use to check whether a guest runs. requests limits the
// reads of [Plan.Write]; nil means no limits.
func NewPlan(libvirt string, requests *limit.Requests) *Plan {
	return &Plan{libvirt: libvirt, requests: requests,
		byID: make(map[storage.FileID]*overlay), records: make(map[storage.FileID][]record)}
}

// Add adds the overlays of a guest.
func (p *Plan) Add(r *host.Report) {
	if r.Err != nil {
		return
	}
	guest := r.Guest.UUID + " " + strconv.Quote(r.Guest.Name)
	for _, d := range r.Examination.Disks {
		if d.Chain == nil {
			continue
		}
		for i, layer := range d.Chain.Layers {
			if layer.Header == nil || layer.Header.Backing == nil || layer.From == chain.Probe || layer.From == chain.Unstated {
				continue
			}
			backing := chain.Layer{}
			if i+1 < len(d.Chain.Layers) {
				backing = d.Chain.Layers[i+1]
			}
			if format := storage.ReadRecord(layer.Header.Backing).Format; format != "" {
				if backing.From == chain.Header && !layer.XMLAlone {
					p.addRecord(backing, record{format, storage.Describe(layer.At())})
				}
				continue
			}
			p.overlay(layer).add(guest, backing, refusals(d.Chain.Findings, i))
		}
	}
}

// addRecord adds the format that a header records, if the header may be
// followed.
func (p *Plan) addRecord(of chain.Layer, r record) {
	known := p.records[of.ID]
	if of.ID != (storage.FileID{}) && !slices.ContainsFunc(known, func(k record) bool { return k.format == r.format }) {
		p.records[of.ID] = append(known, r)
	}
}

// overlay returns the entry of an opened overlay.
func (p *Plan) overlay(layer chain.Layer) *overlay {
	known, ok := p.byID[layer.ID]
	if !ok {
		known = &overlay{layer: layer}
		p.byID[layer.ID] = known
		p.overlays = append(p.overlays, known)
	}
	if known.layer.XMLAlone {
		known.layer = layer // more may confirm it
	}
	return known
}

// refusals returns the reasons why the record of the layer at this index
// cannot be written: why the walk ended there, or at its backing image.
// Refusals because the headers record too little are left out.
func refusals(all []finding.Finding, overlay int) (found []finding.Finding) {
	for _, f := range all {
		here := f.Layer == finding.WholeDisk || f.Layer == overlay || f.Layer == overlay+1
		if here && f.Severity == finding.Refuse && f.Code != finding.SDBus && f.Code != finding.TargetTooOld {
			found = append(found, f)
		}
	}
	return found
}

// add adds what the chain of a guest's disk says about the overlay.
func (o *overlay) add(guest string, backing chain.Layer, refused []finding.Finding) {
	o.guests = added(o.guests, guest)
	if len(refused) > 0 {
		o.refused = refused
		return
	}
	if o.backing.Source == nil {
		o.backing = backing
	}
	switch {
	case backing.Source == nil, backing.From == chain.Unstated:
	case backing.From == chain.Probe, backing.XMLAlone:
		o.guessed = added(o.guessed, backing.Format)
	default:
		o.stated = added(o.stated, backing.Format)
	}
}

func added[T comparable](all []T, one T) []T {
	if slices.Contains(all, one) {
		return all
	}
	return append(all, one)
}
