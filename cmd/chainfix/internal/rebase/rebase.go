// Package rebase writes the other remedy for backing chains: shell scripts that record
// the formats of backing images in the headers of their overlays, by "qemu-img rebase
// -u", and that take it back. It writes to no image itself.
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
// Only a format that somebody stated: the operator, a <driver type>, or another
// overlay of the host that records it for the same image. What chainfix took from an
// image's own header, and what only an XML's <backingStore> says, is a question in the
// script, and no command.
//
// # What the scripts rely on
//
// qemu-img 7.2 adds one header extension, and changes nothing behind the first cluster,
// unless the image has bitmaps, which it writes anew elsewhere. So the first cluster as
// it was is the way back, as long as nobody has written to the image. No qemu-img since
// 7.2 removes a record.
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

// Plan collects the overlays of a host that record no format for their backing image.
// An image that several disks have is in it once.
type Plan struct {
	libvirt  string // the URI of the libvirt that has the guests
	requests *limit.Requests

	overlays []*overlay // in the order in which they were found
	byID     map[storage.FileID]*overlay
	records  map[storage.FileID][]record // what overlays record of an image
}

// record is a format that an overlay's header records.
type record struct {
	format probe.Format
	by     string // the overlay, for people
}

// overlay is an image whose header does not record what its backing image is.
type overlay struct {
	layer  chain.Layer
	guests []string // that have it, each as "UUID QUOTED-NAME"

	// backing is the layer below it; the zero Layer if no walk reached that.
	backing chain.Layer
	stated  []probe.Format // by somebody
	guessed []probe.Format // by a rule, or by an XML's <backingStore> alone
	refused []finding.Finding
}

// NewPlan returns an empty plan for the guests of the libvirt at this URI, which the
// scripts ask whether a guest runs. The requests bound what [Plan.Write] reads; nil
// bounds nothing.
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

// addRecord notes what a header that may be followed records.
func (p *Plan) addRecord(of chain.Layer, r record) {
	known := p.records[of.ID]
	if of.ID != (storage.FileID{}) && !slices.ContainsFunc(known, func(k record) bool { return k.format == r.format }) {
		p.records[of.ID] = append(known, r)
	}
}

// overlay returns what is known of an overlay, which was opened.
func (p *Plan) overlay(layer chain.Layer) *overlay {
	known, ok := p.byID[layer.ID]
	if !ok {
		known = &overlay{layer: layer}
		p.byID[layer.ID] = known
		p.overlays = append(p.overlays, known)
	}
	if known.layer.XMLAlone {
		known.layer = layer // which more may speak for
	}
	return known
}

// refusals are the reasons why the record of the layer at this index in its chain is
// not mended: why the walk ended there, or right below. That headers record too
// little for a libvirt that reads nothing else is no reason.
func refusals(all []finding.Finding, overlay int) (found []finding.Finding) {
	for _, f := range all {
		here := f.Layer == finding.WholeDisk || f.Layer == overlay || f.Layer == overlay+1
		if here && f.Severity == finding.Refuse && f.Code != finding.SDBus && f.Code != finding.TargetTooOld {
			found = append(found, f)
		}
	}
	return found
}

// add adds what the chain of one disk of a guest says.
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
