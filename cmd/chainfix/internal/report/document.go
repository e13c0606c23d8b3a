package report

import (
	"slices"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/xmlfix"
)

// DocumentOf returns the report on one domain XML; name is its name in messages. needs are the
// needs of its disks, in their order.
func DocumentOf(name string, e *xmlfix.Examination, needs []predict.Need) Document {
	d := Document{Name: name, Verdict: e.Verdict().String(), Disks: DisksOf(e, needs), Findings: DocumentFindings(e)}
	if e.Document != nil {
		d.Domain = e.Document.DomainName()
	}
	d.Needed, d.Because = NeedOf(neediest(e, needs))
	return d
}

// neediest returns the greatest need of a document's disks, or Unknown if it cannot be
// read.
func neediest(e *xmlfix.Examination, needs []predict.Need) predict.Need {
	if e.Err != nil {
		return predict.Unknown
	}
	return slices.Max(append([]predict.Need{predict.Recorded}, needs...))
}

// NeedOf returns a need for JSON: needed is nil if unknown.
func NeedOf(n predict.Need) (needed *bool, because string) {
	switch n {
	case predict.Recorded:
		return new(false), ""
	case predict.Unknown:
		return nil, n.String()
	}
	return new(true), n.String()
}

// DocumentFindings returns the findings about the document itself; nil for none.
func DocumentFindings(e *xmlfix.Examination) (all []Finding) {
	if e.Err != nil {
		f, _ := FindingOf(e.Err)
		all = FindingsOf(f)
	}
	for _, f := range e.Findings {
		all = append(all, FindingsOf(f.Finding)...)
	}
	return all
}

func DisksOf(e *xmlfix.Examination, needs []predict.Need) []Disk {
	disks := []Disk{}
	for i, d := range e.Disks {
		disk := Disk{
			Target: d.Target, Device: d.Stated.Device, Bus: d.Stated.Bus, ReadOnly: d.Stated.ReadOnly,
			Verdict: d.Verdict().String(), Layers: []Layer{}, Findings: []Finding{},
		}
		if disk.Device == "" {
			disk.Device = "disk"
		}
		if i < len(needs) {
			disk.Needed, disk.Because = NeedOf(needs[i])
		}
		if d.Chain != nil {
			disk.Findings = FindingsOf(d.Chain.Findings...)
		}
		if d.Err != nil {
			f, _ := FindingOf(d.Err)
			disk.Findings = append(disk.Findings, FindingsOf(f)...)
		}
		for _, layer := range LayersOf(d) {
			disk.Layers = append(disk.Layers, layerOf(layer))
		}
		disks = append(disks, disk)
	}
	return disks
}

// LayersOf returns the images of a disk's chain: none if the chain could not be read, or
// for a drive without a medium.
func LayersOf(d xmlfix.DiskExamination) []chain.Layer {
	if d.Chain == nil || len(d.Chain.Layers) == 1 && storage.IsEmpty(d.Chain.Layers[0].Source) {
		return nil
	}
	return d.Chain.Layers
}

func layerOf(layer chain.Layer) Layer {
	return Layer{Source: SourceOf(layer.Source), Format: layer.Format.LibvirtName(), QEMUFormat: string(layer.Format), From: layer.From.String()}
}
