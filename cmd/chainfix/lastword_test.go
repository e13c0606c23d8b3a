package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/testdata/peers"
)

// outcome is what became of a disk.
type outcome string

const (
	right   outcome = "right bytes"
	refused outcome = "refused"
	wrong   outcome = "WRONG BYTES"
	foreign outcome = "A FOREIGN FILE"
)

// TestWhatTheGuestSees is the last word: over chains of every format whose
// content is known, the guest of a fixed definition reads exactly that, or the
// chain was refused. It never reads other bytes, and no file outside the chain
// is opened.
//
// libvirt also starts the same chains unchanged. What libvirt gets right
// chainfix must accept, unless a reason is listed.
func TestWhatTheGuestSees(t *testing.T) {
	t.Parallel()
	l := peers.StartLibvirt(t)
	peers.Require(t, "qemu-img", "qemu-io", "qemu-storage-daemon")
	var mu sync.Mutex
	count := make(map[string]int)
	kinds := slices.DeleteFunc(slices.Clone(baseKinds), func(k baseKind) bool { return !peers.HasDriver(k.driver) })
	t.Run("chains", func(t *testing.T) {
		for n := range lastWordChains {
			base, overlays := kinds[n%len(kinds)], n/len(kinds)%5
			t.Run(fmt.Sprintf("%d %s %d", n, base.name, overlays), func(t *testing.T) {
				t.Parallel()
				b := &builder{t: t, dir: l.Images, rng: rand.New(rand.NewPCG(6, uint64(n)))}
				c := b.build(n, base, overlays)
				l.Share(c.dir)
				theirs, ours, trusted := c.lastWord(t, l)
				mu.Lock()
				defer mu.Unlock()
				count[fmt.Sprintf("libvirt alone: %s", theirs)]++
				count[fmt.Sprintf("chainfix: %s", ours)]++
				count[fmt.Sprintf("chainfix with every format stated: %s", trusted)]++
			})
		}
	})
	t.Logf("%d chains: %v", lastWordChains, count)
	if count["chainfix: right bytes"] < lastWordChains/4 || count["chainfix: refused"] < lastWordChains/20 {
		t.Error("the chains prove too little")
	}
}

// lastWord finds out what a guest of the plain definition sees, what it sees
// once chainfix has fixed that, and what it sees if every format is stated.
func (c *truth) lastWord(t *testing.T, l *peers.Libvirt) (theirs, ours, trusted outcome) {
	t.Helper()
	plain := c.definition()
	theirs = c.startedByLibvirt(t, l, plain)
	if got, want := predictDocument(t, plain), c.expected(t, theirs); got.Outcome != want {
		t.Errorf("%s: %s is predicted (%s), but libvirt alone: %s", c.name, got.Outcome, got.Reason, theirs)
	}
	ours, codes := c.fixed(t, l, plain)
	trusted = ours
	if len(c.stated) > 0 {
		var flags []string
		for _, word := range c.stated {
			flags = append(flags, "--trust", word)
		}
		trusted, _ = c.fixed(t, l, plain, flags...)
	}
	for who, o := range map[string]outcome{"chainfix": ours, "chainfix --trust": trusted} {
		if o == wrong || o == foreign {
			t.Errorf("%s, %s: %s", c.name, who, o)
		}
		if theirs == right && o == refused && !excused(codes) {
			t.Errorf("%s: libvirt gets it right, %s refuses it: %q", c.name, who, codes)
		}
	}
	return theirs, ours, trusted
}

// expected is the prediction that an outcome of libvirt alone confirms. Right
// bytes are not enough ([covered]), nor is anything where libvirt follows a guess
// ([qedBase]). The files that hold the data of a vmdk descriptor are another
// matter: QEMU opens them because an image of stated format names them.
func (c *truth) expected(t *testing.T, theirs outcome) predict.Outcome {
	t.Helper()
	switch {
	case c.guessIsFollowed():
		return predict.Misopens
	case theirs == refused:
		return predict.Refuses
	case theirs == right && c.opensRightly(t):
		return predict.Starts
	}
	return predict.Misopens
}

// guessIsFollowed tells whether the first image whose format is not recorded is
// that of a qed overlay, and has a backing image.
func (c *truth) guessIsFollowed() bool {
	layers := strings.Split(c.name, " over ")
	for i, layer := range layers {
		if strings.HasPrefix(layer, "unrecorded ") {
			return strings.TrimPrefix(layers[i-1], "unrecorded ") == "qed" && i < len(layers)-1
		}
	}
	return false
}

// opensRightly tells whether libvirt has given every image to the driver that
// made it.
func (c *truth) opensRightly(t *testing.T) bool {
	t.Helper()
	opened, driver := make(map[string]string), make(map[string]string) // by node: the file, and the driver above it
	for _, option := range c.plain {
		node := blockdevNode(t, option)
		if node.Driver == "file" {
			// Newer libvirts put nothing above the file of a raw image.
			opened[node.Name], driver[node.Name] = filepath.Clean(node.Filename), "raw"
			continue
		}
		driver[node.File] = node.Driver
	}
	for node, file := range opened {
		i := slices.Index(c.images, file)
		// A fixed VHD has the bytes of the disk in front of its footer, which
		// an overlay of the same size hides.
		footer := i == 0 && strings.HasSuffix(c.name, " vpcfixed") && driver[node] == "raw"
		if i < 0 || c.drivers[i] != driver[node] && !footer {
			return false
		}
	}
	return true
}

const lastWordChains = 204 // each kind of base below 0 to 4 overlays, more than twice

// reasons are the findings for which chainfix refuses what libvirt may get
// right.
var reasons = map[string]string{
	"foreign-extents": "libvirt does not see the files that a VMDK descriptor names; on a host with security labels the guest does not start",
	"probed-backing":  "a qed overlay that is not known to be raw is probed and followed by libvirt, whatever it names",
}

func excused(codes []string) bool {
	return slices.ContainsFunc(codes, func(code string) bool { return reasons[code] != "" })
}

func (c *truth) guest() string { return filepath.Base(c.dir) }

func (c *truth) definition() string {
	return peers.SmallGuest(c.guest(), fmt.Sprintf(`<disk type='file' device='disk'>
      <driver name='qemu' type='%s'/>
      <source file='%s'/>
      <target dev='vda' bus='virtio'/>
    </disk>`, c.format, c.top))
}

// startedByLibvirt starts a guest with a definition and finds out what it sees.
func (c *truth) startedByLibvirt(t *testing.T, l *peers.Libvirt, document string) outcome {
	t.Helper()
	l.Define(document)
	if err := l.TryStart(c.guest()); err != nil {
		return refused
	}
	options := l.Blockdevs(c.guest())
	l.End(c.guest())
	c.plain = options
	return c.seen(t, options)
}

// fixed runs chainfix on a definition and finds out what a guest of its output
// sees. The codes are those of its refusals.
func (c *truth) fixed(t *testing.T, l *peers.Libvirt, document string, flags ...string) (o outcome, codes []string) {
	t.Helper()
	args := append([]string{"fix"}, flags...)
	var out, findings bytes.Buffer
	cmd := exec.Command("chainfix", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(document), &out, &findings
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	switch status := cmd.ProcessState.ExitCode(); status {
	case exitDone:
	case exitRefused:
		for _, line := range strings.Split(findings.String(), "\n") {
			if _, rest, ok := strings.Cut(line, ": error: ["); ok {
				code, _, _ := strings.Cut(rest, "]")
				codes = append(codes, code)
			}
		}
		return refused, codes
	default:
		t.Fatalf("%s: exit status %d: %s", c.name, status, findings.String())
	}
	options, err := l.NativeBlockdevs(out.String())
	if err != nil {
		t.Fatalf("%s: %v\n%s", c.name, err, out.String())
	}
	for _, option := range options {
		if node := blockdevNode(t, option); slices.Contains([]string{"qcow", "qcow2", "qed", "vmdk"}, node.Driver) && node.Backing == nil {
			t.Errorf("%s: QEMU is left to follow a header: %s", c.name, option)
		}
	}
	return c.seen(t, options), nil
}

// seen finds out what a guest of a graph of nodes sees. The graphs of one chain
// are mostly the same.
func (c *truth) seen(t *testing.T, options []string) outcome {
	t.Helper()
	key := strings.Join(options, "\n")
	if _, known := c.outcomes[key]; !known {
		c.outcomes[key] = c.compared(t, options)
	}
	return c.outcomes[key]
}

// compared opens the nodes and compares every byte with the truth.
func (c *truth) compared(t *testing.T, options []string) outcome {
	t.Helper()
	names, err := peers.Filenames(options)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !slices.ContainsFunc(c.images, func(image string) bool { return sameFile(image, name) }) {
			return foreign
		}
	}
	content, err := peers.GuestSees(t, options)
	if err != nil {
		return refused // QEMU's own refusal
	}
	if !bytes.Equal(content, c.content) {
		return wrong
	}
	return right
}
