package libvirt_test

import (
	"testing"

	"github.com/chainfix/chainfix/chain/libvirt"
)

func TestParseVersion(t *testing.T) {
	for s, want := range map[string]string{
		"9.0": "9.0.0", "9.0.0": "9.0.0", "10.10": "10.10.0", "11.3.2": "11.3.2",
		"": "", "9": "", "9.0.0.1": "", "9.x": "", "-1.0": "", "9.1000": "", "0.0": "", "v9.0": "", "9.0-1": "", " 9.0": "",
	} {
		v, err := libvirt.ParseVersion(s)
		switch {
		case want == "" && err == nil:
			t.Errorf("ParseVersion(%q) = %v, want an error", s, v)
		case want != "" && (err != nil || v.String() != want):
			t.Errorf("ParseVersion(%q) = %v, %v, want %s", s, v, err, want)
		}
	}
}

func TestVersionsAreOrdered(t *testing.T) {
	ordered := []string{"5.10", "6.0", "6.1", "9.0", "10.8", "10.10", "11.3.0", "11.3.1"}
	for i, a := range ordered {
		for j, b := range ordered {
			v, _ := libvirt.ParseVersion(a)
			w, _ := libvirt.ParseVersion(b)
			if v.Before(w) != (i < j) {
				t.Errorf("%s before %s: %v", a, b, v.Before(w))
			}
		}
	}
}
