package main

import (
	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
)

// repeatedFlags are the flags of a scan that an apply of the same guests needs to come to
// the same chains, each with a space after it. Not --target-libvirt: of a libvirt that
// runs it says nothing new.
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

// connectFlag is --connect, and a space, where another command needs it to ask the same
// libvirt; else "".
func (o *options) connectFlag() string {
	if o.connect == defaultConnect() {
		return ""
	}
	return "--connect " + finding.ShellWord(o.connect) + " "
}
