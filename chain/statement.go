package chain

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// Statement is a format that the operator states for an image, as with
// --trust. It is used if neither a header nor the XML states one; if they
// state another, the disk is refused.
type Statement struct {
	// Path names the image: an absolute path, which may be any name of the file,
	// or the [storage.Name] of an image that is not a local file. Of two
	// statements with the same path the first is used. A statement with the
	// chain's spelling takes precedence; those with other names of the file must
	// agree. [ParseImageName] parses such a name.
	Path string
	// Pattern makes Path a pattern of [path.Match] for the path of a local image,
	// as the chain spells it, cleaned, without resolving symlinks. A malformed
	// pattern matches nothing. A statement with a plain path takes precedence
	// over a pattern; patterns that match one image must agree.
	Pattern bool
	Format  probe.Format // one that [ParseFormat] returns
}

// Shown returns the statement's path for messages: a local path in full, a URI
// without what [storage.Shown] hides.
func (s Statement) Shown() string {
	if strings.HasPrefix(s.Path, "/") {
		return s.Path
	}
	return storage.Shown(s.Path)
}

// RelativePathError says that an operator names an image by a relative path.
// Chains name images absolutely, so such a name would match none.
type RelativePathError struct {
	Path     string
	Absolute string // the path in the folder in which it was given; "" if it must not be shown
}

// Error has the absolute path, ready to paste into a shell.
func (e *RelativePathError) Error() string {
	word := finding.ShellWord(e.Absolute)
	if word == "PATH" {
		return "it is a relative path; use an absolute one"
	}
	return strconv.Quote(e.Path) + " is a relative path; use the absolute one: " + word
}

// Relative returns the error about a relative path that was given in the
// folder dir. It does not repeat a path that may be a URL without its scheme,
// which may contain a password.
func Relative(path, dir string) *RelativePathError {
	if dir == "" || maybeURL(path) {
		return &RelativePathError{}
	}
	return &RelativePathError{path, filepath.Join(dir, path)}
}

// maybeURL reports whether a name that is not an absolute path could be a URL,
// a part of one, or QEMU's colon form, any of which may contain a password.
func maybeURL(name string) bool {
	_, host, at := strings.Cut(name, "@")
	return !strings.HasPrefix(name, "/") && (strings.ContainsAny(name, ":?") || at && strings.Contains(host, "/"))
}

// ParseImageName parses the name of an image as operators write it: an
// absolute path, which is returned unchanged; a file: URI, which becomes its
// path; or the URI of an image on the network (see [storage.Name]). For a
// relative path it returns a [*RelativePathError], which has the absolute path
// below the folder dir. No error shows what may be a password.
func ParseImageName(name, dir string) (string, error) {
	scheme, _, _ := strings.Cut(name, ":")
	switch {
	case strings.HasPrefix(name, "/"):
		return name, nil
	case strings.EqualFold(scheme, "file") && scheme != name:
		return fileURI(name[len("file:"):], dir)
	case strings.Contains(name, "://"):
		return name, checkImageURI(name)
	case !storage.LooksLikeFile(name):
		return "", errors.New("the part before its colon looks like a protocol: use the absolute path of a file, or a URI, such as nbd://host:10809/export")
	}
	return "", Relative(name, dir)
}

// fileURI returns the path of a file: URI (RFC 8089); rest is the part after
// the colon.
func fileURI(rest, dir string) (string, error) {
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		slash := strings.IndexByte(after, '/')
		if slash < 0 || slash > 0 && !strings.EqualFold(after[:slash], "localhost") {
			return "", errors.New("a file: URI must name a file of this host: write file:///PATH")
		}
		rest = after[slash:]
	}
	if strings.ContainsAny(rest, "?#") {
		return "", errors.New("a file: URI cannot have a query or a fragment: in a path write %3F for ? and %23 for #")
	}
	path, err := url.PathUnescape(rest)
	switch {
	case err != nil:
		return "", errors.New("a file: URI has a % that does not begin an escape: in a path write %25 for it")
	case strings.Contains(path, "\x00"):
		return "", errors.New("a file: URI has a NUL byte in it")
	case !strings.HasPrefix(path, "/"):
		return "", Relative(path, dir)
	}
	return path, nil
}

// checkImageURI refuses what cannot be the [storage.Name] of an image on the network.
func checkImageURI(name string) error {
	scheme, rest, _ := strings.Cut(name, "://")
	authority := rest[:strings.IndexAny(rest+"/", "/?")]
	switch {
	case scheme == "" || strings.Trim(scheme, "abcdefghijklmnopqrstuvwxyz+") != "":
		return errors.New("it must be a URI, such as nbd://host:10809/export")
	case strings.Contains(authority, "@"):
		return errors.New("a URI must not contain a user name or a password")
	case strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("a URI must not contain control characters")
	}
	return nil
}

// ParseStatement parses NAME=FORMAT, the argument of --trust. [ParseImageName]
// parses the name, which may contain equals signs. No error shows what may be
// a password.
func ParseStatement(word, dir string) (Statement, error) {
	i := strings.LastIndexByte(word, '=')
	secret := maybeURL(word)
	switch {
	case i <= 0 && secret:
		return Statement{}, errors.New("a URI without =FORMAT after it")
	case i <= 0:
		return Statement{}, fmt.Errorf("%q is not PATH=FORMAT", word)
	}
	format, err := ParseFormat(word[i+1:])
	switch {
	case err != nil && !secret:
		return Statement{}, err
	case err != nil:
		return Statement{}, errors.New("the part after the last = of a URI is not a format that a libvirt disk can have")
	}
	path, err := ParseImageName(word[:i], dir)
	if relative := (*RelativePathError)(nil); errors.As(err, &relative) && relative.Absolute != "" {
		relative.Path, relative.Absolute = relative.Path+word[i:], relative.Absolute+word[i:]
	}
	if err != nil {
		return Statement{}, err
	}
	return Statement{Path: path, Format: format}, nil
}
