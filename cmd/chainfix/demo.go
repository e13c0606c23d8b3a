package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/beevik/etree"
	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe/mkimage"
)

func demoCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:        "demo",
		Usage:       "build a sample guest with real images and fix it",
		ArgsUsage:   "[DIR]",
		Description: demoDescription,
		Flags:       flagsOf(demoFlags()),
		Action:      func(c *cli.Context) error { return demo(c, std) },
	}
}

// demoFlags say what becomes of the folder.
func demoFlags() []flagRow {
	return []flagRow{
		{&cli.BoolFlag{Name: "keep", Usage: "keep the folder; a DIR that you name is always kept"},
			func(o *options, c *cli.Context) error { o.keep = c.Bool("keep"); return nil }},
	}
}

const (
	demoName = "chainfix-demo"
	demoSize = 16 << 20 // bytes of the guest's disk
)

func demo(c *cli.Context, std streams) (err error) {
	if err := atMost(c, 1, "one folder"); err != nil {
		return err
	}
	o, err := optionsOf(c)
	if err != nil {
		return err
	}
	dir, err := demoFolder(c.Args().First())
	if err != nil {
		return inputError(err)
	}
	keep := c.NArg() > 0 || o.keep
	if !keep {
		defer func() {
			if removed := os.RemoveAll(dir); removed != nil && err == nil {
				err = inputError(fmt.Errorf("cannot remove the folder %q: %w", dir, unwrapPath(removed)))
			}
		}()
	}
	guest, err := buildDemo(dir)
	if err != nil {
		return inputError(err)
	}
	if err := showDemo(c, std, guest); err != nil {
		return err
	}
	if keep {
		fmt.Fprintf(std.out, "\nThe folder is yours to play with: %s\n", finding.ShellWord(dir))
		return nil
	}
	fmt.Fprintf(std.out, "\nThe folder of the demo is removed now; chainfix demo --keep leaves it to play with.\n")
	return nil
}

// demoFolder makes the folder; one that has something in it is left alone.
func demoFolder(dir string) (string, error) {
	if dir == "" {
		tmp, err := filepath.Abs(os.TempDir())
		if err != nil {
			return "", err
		}
		return os.MkdirTemp(tmp, "demo")
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
	domain.CreateElement("name").SetText(demoName)
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

// refusal is what virsh start prints of the guest as it is, with libvirt since 6.0: the
// words that bring people here.
func (g demoGuest) refusal() string {
	return fmt.Sprintf("error: Failed to start domain '%s'\n"+
		"error: Requested operation is not valid: format of backing image '%s' of image '%s' was not specified in the image metadata"+
		" (See https://libvirt.org/kbase/backing_chains.html for troubleshooting)\n", demoName, filepath.Base(g.middle), storage.Printable(g.top))
}

// showDemo runs the commands that a person would, in the guest's folder, and shows what
// they print.
func showDemo(c *cli.Context, std streams, g demoGuest) error {
	say := func(format string, args ...any) { fmt.Fprintf(std.out, format, args...) }
	// No other folder is needed before the process ends, and names in this one are short.
	if err := os.Chdir(g.dir); err != nil {
		return inputError(err)
	}
	show := func(want int, out io.Writer, to string, args ...string) error {
		say("$ chainfix")
		for _, arg := range args {
			say(" %s", finding.ShellWord(arg))
		}
		say("%s\n", to)
		got := run(c.Context, append([]string{"chainfix"}, args...), streams{std.in, out, std.out})
		say("(exit status %d)\n\n", got)
		if got != want {
			return inputError(fmt.Errorf("the demo went wrong: exit status %d, expected %d", got, want))
		}
		return nil
	}
	document, trust := filepath.Base(g.xml), g.middle+"=qcow2"

	say("A guest has this disk, made as \"qemu-img create -b\" did for many years:\n\n")
	say("    top.qcow2  ->  middle.qcow2  ->  base.img (raw)\n\n")
	say("No image records the format of the one below it, so this is what virsh start prints of it:\n\n")
	say("%s\n", indented(g.refusal()))
	say("$ cd %s\n", finding.ShellWord(g.dir))
	if err := show(exitDone, std.out, "", "probe", filepath.Base(g.top)); err != nil {
		return err
	}
	say("The middle image could have been a raw disk whose guest wrote that header. Somebody has to say what it is:\n\n")
	if err := show(exitRefused, std.out, "", "check", document); err != nil {
		return err
	}
	say("You know that it is qcow2, and say so. The base is raw, which any rule but \"declared\" sees by itself:\n\n")
	if err := show(exitChange, std.out, "", "fix", "--diff", "--trust", trust, document); err != nil {
		return err
	}
	var fixed bytes.Buffer
	name := filepath.Base(g.fixed)
	if err := show(exitDone, &fixed, " > "+name, "fix", "--trust", trust, document); err != nil {
		return err
	}
	if err := os.WriteFile(g.fixed, fixed.Bytes(), 0o644); err != nil {
		return inputError(err)
	}
	say("Now everything is explicit, and libvirt has nothing to guess:\n\n")
	if err := show(exitDone, std.out, "", "check", name); err != nil {
		return err
	}
	say("Now your own guest, while it is shut off:\n\n")
	say("    virsh dumpxml --inactive --security-info VM | chainfix | virsh define /dev/stdin\n\n")
	say("or all guests of this host, at first without a change: chainfix host scan\n")
	return nil
}

// indented sets lines off from what is around them.
func indented(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n    ") + "\n"
}
