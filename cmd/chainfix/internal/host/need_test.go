package host_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// needyHost has a guest of each need, and some that need several things.
func needyHost(t *testing.T) storedHost {
	t.Helper()
	h := newStoredHost(t)
	h.write("base.img", make([]byte, imageSize))
	h.qcow2("leaf.img", "")
	vhdx, err := mkimage.VHDX{VirtualSize: imageSize}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	h.write("golden.img", vhdx)
	h.qcow2Over("recorded.qcow2", "base.img", "raw")
	h.qcow2Over("protocol.qcow2", "base.img", "file")
	h.qcow2("guessed.qcow2", "leaf.img")
	h.qcow2("misopened.qcow2", "golden.img")
	h.qcow2("deep.qcow2", "recorded.qcow2")
	disk := func(name, target string) string {
		return strings.Replace(diskOf(fileDisk, "qcow2", "<source file='DIR/"+name+".qcow2'/>"), "vda", target, 1)
	}
	for _, name := range []string{"recorded", "protocol", "guessed", "misopened"} {
		h.guest(name, disk(name, "vda"))
	}
	h.guest("deep", disk("deep", "vda"))
	h.guest("explicit", diskOf(fileDisk, "qcow2", "<source file='DIR/guessed.qcow2'/><backingStore type='file'><format type='qcow2'/><source file='DIR/leaf.img'/><backingStore/></backingStore>"))
	h.guest("diskless", "")
	h.guest("both", disk("recorded", "vda")+disk("guessed", "vdb"))
	h.guest("worst", disk("guessed", "vda")+disk("misopened", "vdb")+disk("recorded", "vdc"))
	h.text("etc/libvirt/qemu/none.xml", "<pool/>")
	return h
}

func pair(t *testing.T, s string) libvirt.Pair {
	t.Helper()
	p, err := libvirt.ParsePair(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestNeedOfGuests: a guest is as needy as its neediest disk, for the neediest of the libvirts
// that are asked for, or of all.
func TestNeedOfGuests(t *testing.T) {
	h := needyHost(t)
	const recorded, guessed = predict.Recorded, predict.Guessed
	for name, c := range map[string]struct {
		scan host.Scan
		want map[string]predict.Need // where it is not as with libvirt 9.0
	}{
		"9.0":            {host.Scan{Targets: []libvirt.Pair{pair(t, "9.0")}}, nil},
		"9.0, to be":     {host.Scan{Policy: chain.Policy{Target: pair(t, "9.0").Libvirt}}, nil},
		"12.9":           {host.Scan{Targets: []libvirt.Pair{pair(t, "12.9")}}, map[string]predict.Need{"protocol": recorded}},
		"12.9, with 9.0": {host.Scan{Targets: []libvirt.Pair{pair(t, "12.9"), pair(t, "9.0")}}, nil},
		"5.0": {host.Scan{Targets: []libvirt.Pair{pair(t, "5.0")}}, map[string]predict.Need{"protocol": recorded, "misopened": guessed, "worst": guessed,
			"explicit": guessed, "deep": predict.Misopened}},
		"any": {host.Scan{}, nil},
	} {
		reports := h.scan(&c.scan)
		for guest, want := range map[string]predict.Need{"recorded": recorded, "protocol": guessed, "guessed": guessed, "misopened": predict.Misopened, "deep": predict.Refused,
			"explicit": recorded, "diskless": recorded, "both": guessed, "worst": predict.Misopened, "none": predict.Unknown} {
			if other, ok := c.want[guest]; ok {
				want = other
			}
			if got := reports[guest].Need(); got != want {
				t.Errorf("libvirt %s: %s is %s, want %s: %+v", name, guest, got, want, reports[guest].Predictions)
			}
		}
	}
}

// TestWhatAnApplyTakes: what is needed, everything, and who is named; and never a guest that
// would see something else afterwards, unless it is named.
func TestWhatAnApplyTakes(t *testing.T) {
	h := needyHost(t)
	scan := func() *host.Scan { return &host.Scan{Policy: chain.Policy{Target: pair(t, "9.0").Libvirt}} }
	reports := h.scan(scan())
	for guest, want := range map[string]struct{ needed, all, held bool }{
		"recorded": {false, true, false}, "guessed": {true, true, false}, "both": {true, true, false}, "diskless": {false, true, false},
		"misopened": {true, true, true}, "worst": {true, true, true}, "deep": {true, true, false},
	} {
		r := reports[guest]
		f, why := r.HeldBack()
		if r.Wanted(false) != want.needed || r.Wanted(true) != want.all || (why != nil) != want.held {
			t.Errorf("%s: wanted %v and %v, held back: %v", guest, r.Wanted(false), r.Wanted(true), why)
		}
		if want.held && (!errors.Is(why, host.ErrByName) || !strings.Contains(f.Text, "the guest sees the bytes of the container file. Then: the data of ") ||
			!strings.HasSuffix(f.Text, `golden.img" as vhdx`) || !strings.HasSuffix(f.Remedy.String(), "chainfix host apply "+guest)) {
			t.Errorf("%s: %v: %s\n%s", guest, why, f.Text, f.Remedy)
		}
	}
	named := scan()
	named.Names = []string{"recorded", "misopened"}
	for guest, r := range h.scan(named) {
		if _, why := r.HeldBack(); why != nil || !r.Wanted(false) {
			t.Errorf("%s is named: %v", guest, why)
		}
	}
	// Of which libvirt the need is does not change what the guest sees today.
	other := scan()
	other.Targets = []libvirt.Pair{pair(t, "5.0")}
	if _, why := h.scan(other)["misopened"].HeldBack(); !errors.Is(why, host.ErrByName) {
		t.Errorf("for another libvirt: %v", why)
	}
}

// TestStatementAgainstAGuess: where the operator states another format than the one that
// libvirt guesses rightly by the image's own header, the guest sees something else, too.
func TestStatementAgainstAGuess(t *testing.T) {
	h := needyHost(t)
	for format, held := range map[probe.Format]bool{probe.Qcow2: false, probe.Raw: true} {
		policy := chain.Policy{Target: pair(t, "9.0").Libvirt, Trust: []chain.Statement{{Path: h.dir + "/leaf.img", Format: format}}}
		r := h.scan(&host.Scan{Policy: policy})["guessed"]
		f, why := r.HeldBack()
		if r.Verdict() != chain.Fixable || r.Need() != predict.Guessed || errors.Is(why, host.ErrByName) != held {
			t.Errorf("%s: %s, %s, held back: %v", format, r.Verdict(), r.Need(), why)
		}
		if held && !strings.Contains(f.Text, `leaf.img" as qcow2, which is guessed. Then: the data of "`) {
			t.Errorf("%s: %s", format, f.Text)
		}
	}
}
