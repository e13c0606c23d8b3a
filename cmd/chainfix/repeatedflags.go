package main

import (
	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
)

// repeatedFlags returns the flags of a scan that an apply needs to get the same chains,
// each followed by a space. --target-libvirt is not among them: a running libvirt knows
// its version.
func (o *options) repeatedFlags() string {
	flags := o.connectFlag()
	add := func(name, value string) { flags += "--" + name + " " + finding.ShellWord(value) + " " }
	if o.rule != nil {
		add("rule", o.rule.String())
	}
	for _, s := range o.trust {
		flags += finding.Trust(s.Shown(), string(s.Format)).String() + " "
	}
	if o.policyFile != nil {
		add("policy", *o.policyFile)
	}
	if o.pools != nil {
		add("pools", *o.pools)
	}
	switch o.disagreement {
	case chain.HeadersWin:
		flags += "--refresh "
	case chain.XMLWins:
		flags += "--keep-xml "
	}
	if o.network {
		flags += "--network "
	}
	if o.qemuImg != "" {
		add("qemu-img", o.qemuImg)
	}
	return flags
}

// connectFlag returns --connect, followed by a space, if another command needs it to
// ask the same libvirt, else "".
func (o *options) connectFlag() string {
	if o.connect == defaultConnect() {
		return ""
	}
	return "--connect " + finding.ShellWord(o.connect) + " "
}
