package chain

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"libvirt.org/go/libvirtxml"
)

func TestParseBacking(t *testing.T) {
	cases := []struct {
		s, parent, want string
		err             error
	}{
		{s: "/abs/base.img", parent: "/x/top", want: "/abs/base.img"},
		{s: "base.img", parent: "/x/top", want: "/x/base.img"},
		{s: "base.img", parent: "/top", want: "/base.img"},
		{s: "base.img", parent: "/x//y///top", want: "/x//y/base.img"},
		{s: "../y/./base.img", parent: "/x/top", want: "/x/../y/./base.img"},
		{s: "./a:b", parent: "/x/top", want: "/x/./a:b"},
		{s: "dir/a:b", parent: "/x/top", want: "/x/dir/a:b"},
		{s: "/dev/disk/by-path/pci-0000:00:1f.2", parent: "/x/top", want: "/dev/disk/by-path/pci-0000:00:1f.2"},
		{s: "a\\b", parent: "/x/top", want: "/x/a\\b"},
		{s: " leading and trailing ", parent: "/x/top", want: "/x/ leading and trailing "},

		{s: "a:b.qcow2", parent: "/x/top", err: ErrNotLocal},
		{s: "file:/abs", parent: "/x/top", err: ErrNotLocal},
		{s: "file:///abs", parent: "/x/top", err: ErrNotLocal},
		{s: "fat:/dir", parent: "/x/top", err: ErrNotLocal},
		{s: "host_device:/dev/sda", parent: "/x/top", err: ErrNotLocal},
		{s: "://", parent: "/x/top", err: ErrNotLocal},
		{s: "http://user:pass@example.com/file", parent: "/x/top", err: ErrNotLocal},
		{s: "nbd:unix:/tmp/sock", parent: "/x/top", err: ErrNotLocal},
		{s: `json:{"driver":"file","filename":"/x"}`, parent: "/x/top", err: ErrNotLocal},
		{s: "a\tb", parent: "/x/top", err: ErrUnrepresentable},
		{s: "a\xc3", parent: "/x/top", err: ErrUnrepresentable},
		{s: "base.img", parent: "top", err: ErrNoDirectory},
		{s: "base.img", parent: "", err: ErrNoDirectory},
	}
	for _, c := range cases {
		got, err := ParseBacking(c.s, localSource(c.parent, false))
		if !errors.Is(err, c.err) || (c.err == nil) != (err == nil) {
			t.Errorf("ParseBacking(%q, %q): error %v, want %v", c.s, c.parent, err, c.err)
			continue
		}
		if err != nil {
			if strings.Contains(err.Error(), "pass") {
				t.Errorf("ParseBacking(%q): the error shows a password: %v", c.s, err)
			}
			continue
		}
		if path, _ := LocalPath(got); path != c.want {
			t.Errorf("ParseBacking(%q, %q) = %q, want %q", c.s, c.parent, path, c.want)
		}
	}
	if _, err := ParseBacking("base.img", &libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{}}); !errors.Is(err, ErrNoDirectory) {
		t.Errorf("below a network source: %v", err)
	}
}

func FuzzParseBacking(f *testing.F) {
	for _, s := range []string{"base.img", "/abs", "../x", "a:b", "./a:b", "json:{}", "http://u:p@h/x", "a\x00b", "\xff", ":", "/", ""} {
		f.Add(s, "/dir/top.qcow2")
	}
	f.Add("x", "relative")
	f.Add("x", "/")
	f.Fuzz(func(t *testing.T, s, parent string) {
		src, err := ParseBacking(s, localSource(parent, false))
		if err != nil {
			known := 0
			for _, e := range []error{ErrNotLocal, ErrUnrepresentable, ErrNoDirectory} {
				if errors.Is(err, e) {
					known++
				}
			}
			if known != 1 || src != nil {
				t.Fatalf("source %v with error %v", src, err)
			}
			return
		}
		path, ok := LocalPath(src)
		switch {
		case !ok && s != "":
			t.Fatalf("%q gives no path", s)
		case strings.HasPrefix(s, "/") && path != s:
			t.Fatalf("the absolute %q became %q", s, path)
		case !strings.HasPrefix(path, "/"):
			t.Fatalf("%q is not absolute", path)
		case !strings.HasSuffix(path, s):
			t.Fatalf("%q does not end in %q: something was cleaned", path, s)
		case !utf8.ValidString(s):
			t.Fatalf("%q cannot stand in XML", s)
		}
	})
}
