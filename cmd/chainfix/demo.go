package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/beevik/etree"
	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/probe/mkimage"
)

func demoCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:        "demo",
		Usage:       "build a sample guest with real images and fix it",
		ArgsUsage:   "[DIR]",
		Description: demoDescription,
		Action:      func(c *cli.Context) error { return demo(c, std) },
	}
}

const demoSize = 16 << 20 // bytes of the guest's disk

func demo(c *cli.Context, std streams) error {
	if err := atMost(c, 1, "one folder"); err != nil {
		return err
	}
	dir, err := demoFolder(c.Args().First())
	if err != nil {
		return inputError(err)
	}
	guest, err := buildDemo(dir)
	if err != nil {
		return inputError(err)
	}
	return showDemo(c, std, guest)
}

// demoFolder makes the folder; one that has something in it is left alone.
func demoFolder(dir string) (string, error) {
	if dir == "" {
		return os.MkdirTemp("", "chainfix-demo-")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("cannot make the folder %q: %w", dir, unwrapPath(err))
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("cannot read the folder %q: %w", dir, unwrapPath(err))
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("the folder %q is not empty", dir)
	}
	return dir, nil
}

// demoGuest is the sample guest: two overlays over a raw base, neither of
// which records the format of the image below it.
type demoGuest struct {
	dir, xml, fixed   string
	top, middle, base string
}

func buildDemo(dir string) (demoGuest, error) {
	in := func(name string) string { return filepath.Join(dir, name) }
	g := demoGuest{dir: dir, xml: in("guest.xml"), fixed: in("guest-fixed.xml"),
		top: in("top.qcow2"), middle: in("middle.qcow2"), base: in("base.img")}
	var base strings.Builder
	for base.Len() < 64<<10 {
		base.WriteString("this is the guest's own data, in the raw base image\n")
	}
	if err := newFile(g.base, func(w io.Writer) error {
		_, err := io.WriteString(w, base.String())
		return err
	}); err != nil {
		return g, err
	}
	if err := os.Truncate(g.base, demoSize); err != nil {
		return g, err
	}
	for path, image := range map[string]mkimage.Qcow2{
		g.middle: {VirtualSize: demoSize, Backing: filepath.Base(g.base)},
		g.top:    {VirtualSize: demoSize, Backing: filepath.Base(g.middle)},
	} {
		if err := newFile(path, func(w io.Writer) error {
			_, err := image.WriteTo(w)
			return err
		}); err != nil {
			return g, err
		}
	}
	return g, newFile(g.xml, func(w io.Writer) error { return writeDemoDomain(w, g.top) })
}

func newFile(path string, fill func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(fill(f), f.Close())
}

// writeDemoDomain writes a domain XML that real libvirt takes, as virsh
// dumpxml --inactive would lay it out.
func writeDemoDomain(w io.Writer, top string) error {
	doc := etree.NewDocument()
	domain := doc.CreateElement("domain")
	domain.CreateAttr("type", "qemu")
	domain.CreateElement("name").SetText("chainfix-demo")
	memory := domain.CreateElement("memory")
	memory.CreateAttr("unit", "MiB")
	memory.SetText("64")
	osType := domain.CreateElement("os").CreateElement("type")
	osType.CreateAttr("arch", "x86_64")
	osType.SetText("hvm")
	disk := domain.CreateElement("devices").CreateElement("disk")
	disk.CreateAttr("type", "file")
	disk.CreateAttr("device", "disk")
	driver := disk.CreateElement("driver")
	driver.CreateAttr("name", "qemu")
	driver.CreateAttr("type", "qcow2")
	disk.CreateElement("source").CreateAttr("file", top)
	target := disk.CreateElement("target")
	target.CreateAttr("dev", "vda")
	target.CreateAttr("bus", "virtio")
	doc.WriteSettings.AttrSingleQuote = true
	doc.Indent(2)
	_, err := doc.WriteTo(w)
	return err
}

// showDemo runs the commands that a person would, and shows what they print.
func showDemo(c *cli.Context, std streams, g demoGuest) error {
	say := func(format string, args ...any) { fmt.Fprintf(std.out, format, args...) }
	show := func(want int, args ...string) error {
		say("$ chainfix %s\n", strings.Join(args, " "))
		got := run(c.Context, append([]string{"chainfix"}, args...), streams{std.in, std.out, std.out})
		say("(exit status %d)\n\n", got)
		if got != want {
			return inputError(fmt.Errorf("the demo went wrong: exit status %d, expected %d", got, want))
		}
		return nil
	}
	trust := g.middle + "=qcow2"

	say("A guest with a chain of three images, in %q:\n\n", g.dir)
	say("    top.qcow2  ->  middle.qcow2  ->  base.img (raw)\n\n")
	say("No overlay records the format of the image below it, so libvirt would refuse to start the guest.\n\n")
	if err := show(exitDone, "probe", g.top); err != nil {
		return err
	}
	say("The middle image could have been a raw disk whose guest wrote that header. Somebody has to say what it is:\n\n")
	if err := show(exitRefused, "check", g.xml); err != nil {
		return err
	}
	say("You know that it is qcow2, and say so. The base is raw, which any rule but \"declared\" sees by itself:\n\n")
	if err := show(exitChange, "fix", "--diff", "--trust", trust, g.xml); err != nil {
		return err
	}
	if err := fixDemo(c, std, g, trust); err != nil {
		return err
	}
	say("With that written to guest-fixed.xml, everything is explicit:\n\n")
	if err := show(exitDone, "check", g.fixed); err != nil {
		return err
	}
	say("The folder is yours to play with: %q\n", g.dir)
	return nil
}

func fixDemo(c *cli.Context, std streams, g demoGuest, trust string) error {
	original, err := os.ReadFile(g.xml)
	if err != nil {
		return inputError(err)
	}
	if err := os.WriteFile(g.fixed, original, fs.FileMode(0o644)); err != nil {
		return inputError(err)
	}
	if status := run(c.Context, []string{"chainfix", "fix", "-w", "--trust", trust, g.fixed}, streams{std.in, std.out, io.Discard}); status != exitDone {
		return inputError(fmt.Errorf("the demo went wrong: exit status %d", status))
	}
	return nil
}
