package chain

// sdBus: libvirt throws the explicit chain of an SD card away and detects it
// again, because such disks still use -drive (9.0, 11.3). Only what the
// headers record helps.
func (k *walk) sdBus() {
	c := k.chain
	for i, layer := range c.Layers[1:] {
		if layer.From == Header {
			continue
		}
		overlay := c.Layers[i]
		c.Verdict = Refused
		k.findAt(i+1, Finding{Code: SDBus, Severity: Refuse,
			Text: "libvirt ignores the explicit chain of a disk on the sd bus, and no header records the format of " + Describe(layer.Source),
			Hint: "record it in the overlay: " + rebaseCommand(overlay, layer.Format)})
		return
	}
	if len(c.Layers) == 1 && k.stated.Layers[0].From == Unstated {
		return // only the <driver type> is missing, which counts on every bus
	}
	c.Verdict = Explicit
	c.Layers = k.stated.Layers
	k.findAt(WholeDisk, Finding{Code: SDBus, Severity: Info,
		Text: "libvirt ignores the explicit chain of a disk on the sd bus; its headers record every format, so nothing is guessed"})
}
