package probe_test

import "github.com/chainfix/chainfix/probe"

var isoCases = []readCase{
	{name: "plain", image: marks(put(isoOffset, "CD001")), want: &probe.Header{Format: probe.ISO, VirtualSize: 64 << 10}},
	{name: "of an odd length", image: marks(put(isoOffset, "CD001"), end(isoOffset+5)), want: &probe.Header{Format: probe.ISO, VirtualSize: 33280}},
	{name: "no mark", image: marks(put(isoOffset, "BEA01")), err: probe.ErrSignature, field: "Standard Identifier", differs: "iso mark"},
	{name: "ends within its mark", image: marks(put(isoOffset, "CD001"), end(isoOffset+4)), err: probe.ErrSignature, field: "Standard Identifier", differs: "iso mark"},
	{name: "no bytes", image: nil, err: probe.ErrSignature, field: "Standard Identifier", differs: "iso mark"},
	{name: "and a qcow2 header", image: marks(put(0, "QFI\xfb"), be32(4, 3), put(isoOffset, "CD001")), want: &probe.Header{Format: probe.ISO, VirtualSize: 64 << 10}},
}

// cowCases: no image of the format is read.
var cowCases = []readCase{
	{name: "plain", image: marks(put(0, "OOOM"), be32(4, 2)), err: probe.ErrUnsupported, field: "magic"},
	{name: "version 3", image: marks(put(0, "OOOM"), be32(4, 3)), err: probe.ErrUnsupported, field: "magic"},
	{name: "magic", image: marks(put(0, "OOOX")), err: probe.ErrSignature, field: "magic"},
	{name: "no bytes", image: nil, err: probe.ErrSignature, field: "magic"},
}
