package main

import (
	"context"
	"errors"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/predict"
)

// ranOtherwise finds out whether a guest that is about to go on may have another
// chain open than the one that would be written into its XML: if a libvirt,
// which is not known, detected it wrongly. Its disk would then change under it,
// while one that starts afresh may well be given what its images really are. Of
// the operator's statements no libvirt knew; they count here as everywhere.
func ranOtherwise(ctx context.Context, w *chain.Walker, stated chain.Stated) (*finding.Finding, error) {
	for _, version := range libvirt.Detectors() {
		p, err := predict.Disk(ctx, w, stated, version)
		switch {
		case errors.Is(err, predict.ErrUnseen):
			p.Words = "it is not known what happens: " + err.Error()
		case err != nil:
			return nil, err
		case p.Outcome != predict.Misopens:
			continue
		}
		vm := finding.GuestWord(stated.Guest)
		return &finding.Finding{Code: finding.RanOtherwise, Severity: finding.Refuse, Layer: finding.WholeDisk,
			Text: "the guest goes on, and may have another chain open than the headers tell: under libvirt " + version.String() + ", " + p.Words,
			Remedy: finding.Say("make its definition explicit, and shut it down and start it: %s, %s, %s",
				finding.Command("virsh dumpxml --inactive --security-info "+vm+" | chainfix | virsh define /dev/stdin"), finding.Command("virsh shutdown "+vm), finding.Command("virsh start "+vm))}, nil
	}
	return nil, nil
}
