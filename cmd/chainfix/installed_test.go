package main

import (
	"errors"
	"os/exec"
	"regexp"
	"sync"
	"testing"

	"github.com/chainfix/chainfix/chain/libvirt"
)

// What libvirt and QEMU do depends on their versions, so what the tests want does.

// installed is the version of the libvirt that is installed, installedQEMU that of
// QEMU, which is written alike.
var (
	installed     = sync.OnceValues(func() (libvirt.Version, error) { return versionOf("libvirtd") })
	installedQEMU = sync.OnceValues(func() (libvirt.Version, error) { return versionOf("qemu-system-x86_64") })
)

func versionOf(program string) (libvirt.Version, error) {
	out, err := exec.Command(program, "--version").Output()
	if err != nil {
		return libvirt.Version{}, err
	}
	return libvirt.ParseVersion(string(regexp.MustCompile(`[0-9]+\.[0-9]+\.[0-9]+`).Find(out)))
}

// installedPair returns both.
func installedPair(t *testing.T) libvirt.Pair {
	t.Helper()
	own, err := installed()
	qemu, qemuErr := installedQEMU()
	if err := errors.Join(err, qemuErr); err != nil {
		t.Fatal(err)
	}
	return libvirt.Pair{Libvirt: own, QEMU: qemu}
}

// since is what is wanted of the installed libvirt where a version has changed
// that. Where there is no libvirt nothing is compared with it.
func since[T any](version string, before, from T) T { return changed(installed, version, before, from) }

// sinceQEMU is since for a version of QEMU.
func sinceQEMU[T any](version string, before, from T) T {
	return changed(installedQEMU, version, before, from)
}

func changed[T any](installed func() (libvirt.Version, error), version string, before, from T) T {
	v, err := libvirt.ParseVersion(version)
	if err != nil {
		panic(err)
	}
	if is, err := installed(); err != nil || is.Before(v) {
		return before
	}
	return from
}

// nested is what is wanted of a chain of more than 25 layers, and else of one of
// which the JSON library of some versions cannot make a command line.
func nested[T any](wanted, too T) T { return since("10.8", wanted, since("12.0", too, wanted)) }
