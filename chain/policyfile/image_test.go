package policyfile_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain/policyfile"
)

// The path of an image may be a file: URI, which means its path. A relative path,
// anywhere in the file, is refused with the absolute one, which begins in the
// folder of the policy file.
func TestPathsOfImages(t *testing.T) {
	s := schema(t)
	for value, want := range map[string]string{
		"path: /srv/base.img":                       "/srv/base.img",
		"path: file:///srv/base.img":                "/srv/base.img",
		"path: file:/srv/base.img":                  "/srv/base.img",
		"path: FILE://localhost/srv/a%20b%3F.img":   "/srv/a b?.img",
		"path: file:///srv/user:x@y":                "/srv/user:x@y",
		"path: file:///srv/../base.img":             `: write "/base.img"`,
		"path: file:///srv/%2e%2e/base.img":         `: write "/base.img"`,
		"path: file:///srv/":                        `: write "/srv"`,
		"path: file:///srv/a%0ab":                   "control character",
		"path: file:///srv/a%00b":                   "NUL",
		"path: file:///srv/a%zz":                    "%25",
		"path: file://hunter2@storage/srv/base.img": "file of this host",
		"path: file:base.img":                       `"base.img" is a relative path; use the absolute one: /etc/chainfix/base.img`,
		"path: base.img":                            `"base.img" is a relative path; use the absolute one: /etc/chainfix/base.img`,
		"path: ../base.img":                         `use the absolute one: /etc/base.img`,
		"path: 'my images/base.img'":                `use the absolute one: '/etc/chainfix/my images/base.img'`,
		"path: 'host/x?token=hunter2'":              "it is a relative path; use an absolute one",
		`path: "a\eb"`:                              "it is a relative path; use an absolute one",
		"path: ''":                                  "path must be an absolute path",
		"path: nbd://storage:10809/base":            `use "source"`,
		"path: https://root:hunter2@h/x":            "contain a user name or a password",
		"path: 'rbd:pool/image:key=hunter2'":        "looks like a protocol",
		"glob: 'images/*.img'":                      `use the absolute one: '/etc/chainfix/images/*.img'`,
		"glob: 'file:///srv/*.img'":                 "relative path",
		"source: 'File:///srv/base.img'":            `use "path"`,
		"source: 'HTTPS://host/hunter2'":            "such as nbd://",
	} {
		text := "version: 1\nformats:\n  - " + value + "\n    format: raw\n"
		f, err := policyfile.Parse("/etc/chainfix/policy.yaml", []byte(text))
		if err == nil {
			if got := f.Policy.Trust[0].Path; got != want {
				t.Errorf("%s: %q, want %q", value, got, want)
			}
			if err := validate(s, []byte(text)); err != nil {
				t.Errorf("%s: the schema refuses it: %v", value, err)
			}
			continue
		}
		var at *policyfile.Error
		if !errors.As(err, &at) || !errors.Is(err, policyfile.ErrValue) || at.Line != 3 || !strings.Contains(at.Detail, want) {
			t.Errorf("%s: %v, want %q", value, err, want)
		}
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: %q", value, err)
		}
	}
}

// The other paths of the file are named absolutely in the same words.
func TestOtherRelativePaths(t *testing.T) {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"pools: storage": dir + "/sub/storage",
		"folders: [{path: ../golden, rule: leaf}]": dir + "/golden",
	} {
		_, err := policyfile.Parse("sub/policy.yaml", []byte("version: 1\n"+text+"\n"))
		if err == nil || !strings.HasSuffix(err.Error(), "use the absolute one: "+want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// Two names of one path are one: they must not be stated differently.
func TestFileURIAndPathAreOne(t *testing.T) {
	_, err := policyfile.Parse("", []byte("version: 1\nformats: [{path: /a, format: raw}, {path: 'file:///a', format: qcow2}]\n"))
	if !errors.Is(err, policyfile.ErrContradiction) {
		t.Errorf("%v", err)
	}
}
