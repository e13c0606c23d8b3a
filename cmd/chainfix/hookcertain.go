package main

import (
	"strconv"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/probe"
)

// libvirtReads is how many bytes of an image libvirt reads (9.0, 11.3:
// VIR_STORAGE_MAX_HEADER). A backing name behind them it does not see.
const libvirtReads = 0x8200

// uncertain returns why a chain that is not explicit must not be written into
// the XML of a guest that is about to go on: it might be another than the one
// that the guest ran with, as libvirt had detected it, and its disk would change
// under it. A guest that starts afresh may well be given what the images really
// are.
//
// Certain are what headers record, if libvirt sees it, raw, and a qcow2 image
// of which the record is silent: every libvirt since 6.1 detects that. Others
// it takes for raw, or did once (probing differs with the format; a name that it
// does not know is raw since 9.10, before it was as good as none). The operator's
// word counts here too.
func uncertain(c *chain.Chain, stated chain.Stated) (chain.Finding, bool) {
	why := func(i int, code chain.Code, text string) (chain.Finding, bool) {
		return chain.Finding{Code: code, Severity: chain.Refuse, Layer: i, Text: text +
			", so the guest may have run with another chain than the headers tell",
			Hint: "make the chain explicit before the guest is saved or migrated"}, true
	}
	disputed := make(map[int]bool) // by the overlay
	for _, f := range c.Findings {
		disputed[f.Layer] = disputed[f.Layer] || f.Code == chain.FormatDisputed
	}
	for i, layer := range c.Layers {
		if i == 0 || layer.From == chain.XML {
			continue
		}
		overlay, what := c.Layers[i-1], chain.Describe(layer.Source)
		switch {
		case layer.From == chain.Probe && layer.Format != probe.Raw && (layer.Format != probe.Qcow2 || disputed[i-1]):
			return why(i, chain.ProbedFormat, "not every libvirt detects that "+what+" is "+string(layer.Format))
		case overlay.Header != nil && overlay.Header.Backing != nil &&
			overlay.Header.Backing.Offset+int64(len(overlay.Header.Backing.Name)) > libvirtReads:
			return why(i, chain.ChainUnverified, chain.Describe(overlay.Source)+" names its backing image "+what+" behind the "+
				strconv.Itoa(libvirtReads)+" bytes that libvirt reads")
		}
	}
	return chain.Finding{}, false
}
