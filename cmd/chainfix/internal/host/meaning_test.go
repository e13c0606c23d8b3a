package host

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
)

// stored returns the text of one guest's definition by a version of libvirt: what 7.0
// made of a definition with a chain, and 12.9 of that text.
func stored(t *testing.T, version string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/stored-by-" + version + ".xml")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func withoutChains(t *testing.T, definition []byte) []byte {
	t.Helper()
	text, err := stripped(definition)
	if err != nil || bytes.Equal(text, definition) {
		t.Fatalf("it has no chain, or %v", err)
	}
	return text
}

func replaced(text []byte, old, new string) []byte {
	return bytes.Replace(text, []byte(old), []byte(new), 1)
}

// TestDisksGivenBack: of a definition that a newer libvirt has written anew the disks
// become those that they were, and nothing else changes. A disk that somebody changed
// is left, whatever else is in the definition.
func TestDisksGivenBack(t *testing.T) {
	wanted, now := stored(t, "7.0"), stored(t, "12.9")
	old := withoutChains(t, wanted)
	for name, c := range map[string]struct {
		now, want []byte // nil for ErrChanged
	}{
		"written anew":      {now, withoutChains(t, now)},
		"the same libvirt":  {wanted, old},
		"taken back before": {withoutChains(t, now), withoutChains(t, now)},
		"another change": {replaced(now, "<title>t</title>", "<title>mine</title>"),
			replaced(withoutChains(t, now), "<title>t</title>", "<title>mine</title>")},
		"another disk": {replaced(now, "    <controller ", "    <disk type='file' device='floppy'>\n      <target dev='fda'/>\n    </disk>\n    <controller "),
			replaced(withoutChains(t, now), "    <controller ", "    <disk type='file' device='floppy'>\n      <target dev='fda'/>\n    </disk>\n    <controller ")},
		"another format":  {replaced(now, "<format type='raw'/>", "<format type='vdi'/>"), nil},
		"another setting": {replaced(now, "cache='none'", "cache='unsafe'"), nil},
		"renamed disk":    {replaced(now, "dev='vda'", "dev='vdq'"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := disksGivenBack(old, wanted, c.now)
			if c.want == nil {
				if !errors.Is(err, ErrChanged) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil || string(got) != string(c.want) {
				t.Errorf("%v\n%s", err, got)
			}
		})
	}
}

// The two definitions that a snapshot of a guest that ran has get their own disks back.
func TestDisksOfASnapshotGivenBack(t *testing.T) {
	wanted, now := stored(t, "7.0"), stored(t, "12.9")
	old := withoutChains(t, wanted)
	snapshot := func(first, second []byte) []byte {
		second = replaced(replaced(second, "<domain ", "<inactiveDomain "), "</domain>", "</inactiveDomain>")
		return []byte("<domainsnapshot>" + string(first) + string(second) + "</domainsnapshot>")
	}
	for name, is := range map[string][]byte{"both": snapshot(now, now), "the first alone": snapshot(now, withoutChains(t, now)), "the second alone": snapshot(withoutChains(t, now), now)} {
		got, err := disksGivenBack(snapshot(old, old), snapshot(wanted, wanted), is)
		if want := snapshot(withoutChains(t, now), withoutChains(t, now)); err != nil || string(got) != string(want) {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
	}
	given := snapshot(old, wanted)
	if !agrees(given, given) || agrees(given, snapshot(wanted, old)) {
		t.Error("which disk is which counts")
	}
}

// TestAgrees: libvirt may write what it is given in another way, and make nothing else
// of it.
func TestAgrees(t *testing.T) {
	given := stored(t, "7.0")
	const controller = `    <controller type='virtio-serial' index='0'>
      <address type='pci' domain='0x0000' bus='0x06' slot='0x00' function='0x0'/>
    </controller>
`
	if !strings.Contains(string(given), controller) {
		t.Fatal("there is no such controller")
	}
	for name, c := range map[string]struct {
		old, new string
		want     bool
	}{
		"itself":                {"", "", true},
		"order of attributes":   {"cache='none' io='native'", "io='native' cache='none'", true},
		"place of a controller": {controller, "", true},
		"a controller less":     {controller, "<!-- -->", false},
		"another disk setting":  {"cache='none'", "cache='unsafe'", false},
		"another chain":         {"<format type='raw'/>", "<format type='vdi'/>", false},
		"another title":         {"<title>t</title>", "<title>u</title>", false},
		"no XML":                {"<domain", "<", false},
	} {
		t.Run(name, func(t *testing.T) {
			got := []byte(strings.Replace(string(given), c.old, c.new, 1))
			if c.old == controller && c.new == "" {
				got = replaced(got, "    <channel ", controller+"    <channel ")
			}
			if agrees(given, got) != c.want {
				t.Errorf("agrees: %v", !c.want)
			}
		})
	}
}
