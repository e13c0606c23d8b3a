package chain_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/probe"
)

// What operators may write for an image, in a flag and in a policy file alike,
// from the folder /srv/my images.
var imageNames = []struct {
	name string
	want string // "" for an error
	text string // the error says this
}{
	{"/srv/base.img", "/srv/base.img", ""},
	{"/srv/a,b=c:d@e?f#g%41/base.img", "/srv/a,b=c:d@e?f#g%41/base.img", ""},
	{"//srv/./x/../base.img", "//srv/./x/../base.img", ""}, // a chain may spell it so
	{"/", "/", ""},
	{"/file:x", "/file:x", ""},
	{"/new\nline", "/new\nline", ""},

	{"file:///srv/base.img", "/srv/base.img", ""},
	{"file:/srv/base.img", "/srv/base.img", ""},
	{"file://localhost/srv/base.img", "/srv/base.img", ""},
	{"FILE://LocalHost/srv/base.img", "/srv/base.img", ""},
	{"file:///srv/a%20b%3Fc%23d%25e%3D.img", "/srv/a b?c#d%e=.img", ""},
	{"file:////srv", "//srv", ""},
	{"file:///srv/user:x@y", "/srv/user:x@y", ""},
	{"file:///%2e%2e/a", "/../a", ""},
	{"file://storage/srv/base.img", "", "file of this host"},
	{"file://root:hunter2@localhost/base.img", "", "file of this host"},
	{"file://base.img", "", "file of this host"},
	{"file://", "", "file of this host"},
	{"file:///srv/base?hunter2", "", "%3F"},
	{"file:///srv/base#hunter2", "", "%23"},
	{"file:///srv/100%", "", "%25"},
	{"file:///srv/%zz", "", "%25"},
	{"file:///srv/a%00b", "", "NUL"},
	{"file:base.img", "", `"base.img" is a relative path; use the absolute one: '/srv/my images/base.img'`},
	{"file:", "", "relative path"},
	{"file:a%20b", "", `use the absolute one: '/srv/my images/a b'`},

	{"nbd://storage:10809/base", "nbd://storage:10809/base", ""},
	{"nbd+unix:///export?socket=/run/a b", "nbd+unix:///export?socket=/run/a b", ""},
	{"https://host:443/a?token=x=y@z", "https://host:443/a?token=x=y@z", ""},
	{"rbd://a:1,b:2/pool/image@snap", "rbd://a:1,b:2/pool/image@snap", ""},
	{"https://root:hunter2@host/a", "", "contain a user name or a password"},
	{"https://hunter2@host?x", "", "contain a user name or a password"},
	{"https://hunter2@host", "", "contain a user name or a password"},
	{"nbd://host/\x1b[2J", "", "control character"},
	{"NBD://host/hunter2", "", "such as nbd://"},
	{"://hunter2", "", "such as nbd://"},
	{"a b://hunter2", "", "such as nbd://"},

	{"nbd:hunter2:10809", "", "looks like a protocol"},
	{"rbd:pool/image:id=admin:key=hunter2", "", "looks like a protocol"},
	{"user:hunter2@host/image", "", "looks like a protocol"},
	{`json:{"driver":"https","password":"hunter2"}`, "", "looks like a protocol"},
	{":", "", "looks like a protocol"},

	{"base.img", "", `"base.img" is a relative path; use the absolute one: '/srv/my images/base.img'`},
	{"./base.img", "", `use the absolute one: '/srv/my images/base.img'`},
	{"../base.img", "", "use the absolute one: /srv/base.img"},
	{"vm@snap.img", "", `use the absolute one: '/srv/my images/vm@snap.img'`},
	{"~/base.img", "", "'/srv/my images/~/base.img'"},
	{"", "", "relative path"},
	{"\x1b[2J.img", "", "it is a relative path; use an absolute one"},
	{"\xff.img", "", "it is a relative path; use an absolute one"},
	// These may be URLs that lack their scheme.
	{"user@host/hunter2", "", "it is a relative path; use an absolute one"},
	{"host/image?token=hunter2", "", "it is a relative path; use an absolute one"},
}

func TestParseImageName(t *testing.T) {
	for _, c := range imageNames {
		got, err := chain.ParseImageName(c.name, "/srv/my images")
		if (err == nil) != (c.want != "") || err == nil && got != c.want {
			t.Errorf("%q: %q, %v, want %q", c.name, got, err, c.want)
		}
		if err != nil && (!strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\x1b")) {
			t.Errorf("%q: %v, want %q", c.name, err, c.text)
		}
	}
}

// A statement has the same names, and its error the statement to give instead.
func TestParseStatement(t *testing.T) {
	for _, c := range imageNames {
		if c.name == "" {
			continue
		}
		got, err := chain.ParseStatement(c.name+"=vhd", "/srv/my images")
		want := chain.Statement{}
		if c.want != "" {
			want = chain.Statement{Path: c.want, Format: probe.VHDX}
		}
		if (err == nil) != (c.want != "") || err == nil && got != want {
			t.Errorf("%q: %+v, %v, want %+v", c.name, got, err, want)
		}
	}
	for word, want := range map[string]string{
		"base.img=qcow2":      `"base.img=qcow2" is a relative path; use the absolute one: '/srv/my images/base.img=qcow2'`,
		"../a=b=raw":          `"../a=b=raw" is a relative path; use the absolute one: /srv/a=b=raw`,
		"file:base.img=qcow2": `"base.img=qcow2" is a relative path; use the absolute one: '/srv/my images/base.img=qcow2'`,
		"host/x?a=raw":        "it is a relative path; use an absolute one",

		"/base.img":             `"/base.img" is not PATH=FORMAT`,
		"=raw":                  `"=raw" is not PATH=FORMAT`,
		"":                      `"" is not PATH=FORMAT`,
		"/base.img=tar":         `"tar" is not a format`,
		"/base.img=":            `"" is not a format`,
		"https://host/hunter2":  "a URI without =FORMAT",
		"https://h/?t=hunter2":  "not a format that a libvirt disk can have",
		"h/image?t=hunter2":     "not a format that a libvirt disk can have",
		"u@h/image=hunter2":     "not a format that a libvirt disk can have",
		"rbd:p/i:key=hunter2":   "not a format that a libvirt disk can have",
		"user:hunter2@h/x=raw":  "looks like a protocol",
		"nbd://hunter2@h/x=raw": "contain a user name or a password",
	} {
		_, err := chain.ParseStatement(word, "/srv/my images")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v, want %q", word, err, want)
		}
	}
	// Where nobody knows the folder there is nothing to name.
	if _, err := chain.ParseStatement("base.img=raw", ""); err == nil || strings.Contains(err.Error(), "base.img") {
		t.Errorf("without a folder: %v", err)
	}
}

// A relative path is told apart, so that whoever reads statements can name the
// right one; the absolute path that it names is read in turn.
func TestRelativePathError(t *testing.T) {
	_, err := chain.ParseImageName("x/../base.img", "/dir")
	var relative *chain.RelativePathError
	if !errors.As(err, &relative) || relative.Path != "x/../base.img" || relative.Absolute != "/dir/base.img" {
		t.Fatalf("%+v", err)
	}
	if got, err := chain.ParseImageName(relative.Absolute, "/"); got != relative.Absolute || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// Whatever is put around a password: no error shows it, and a statement that is
// read does not show it either.
func TestNoPasswordOfAStatementIsShown(t *testing.T) {
	const secret = "hunter2"
	part := rapid.SampledFrom([]string{"nbd", "https", "file", "rbd", "json", "host", "user", "a.img", "1", ".", "..", "", "\x1b", "%", "%zz", "é", " "})
	mark := rapid.SampledFrom([]string{":", "/", "//", "://", "?", "#", "=", "&", "+", ";", ""})
	formats := rapid.SampledFrom([]string{"=raw", "=qcow2", "=tar", "=", ""})
	rapid.Check(t, func(t *rapid.T) {
		before := ""
		for range rapid.IntRange(0, 4).Draw(t, "parts before") {
			before += part.Draw(t, "part") + mark.Draw(t, "mark")
		}
		// With a user, where URIs have one, or in the query.
		hidden := rapid.SampledFrom([]string{"user:" + secret + "@host", secret + "@host/x", "x?password=" + secret, "x:key=" + secret}).Draw(t, "hidden")
		// A file may be called anything, and what begins with a slash is a file.
		word := strings.TrimLeft(before+hidden, "/") + formats.Draw(t, "format")
		s, err := chain.ParseStatement(word, "/dir")
		switch {
		case err != nil && strings.Contains(err.Error(), secret):
			t.Fatalf("%q: %v", word, err)
		case err == nil && !strings.HasPrefix(s.Path, "/") && strings.Contains(hidden, "?") && strings.Contains(s.Shown(), secret):
			t.Fatalf("%q is shown as %q", word, s.Shown())
		}
	})
}
