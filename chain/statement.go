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

// Statement is the format that the operator states for an image, as by --trust. It
// counts where neither a header nor the XML states one; if they state another, the
// disk is refused.
type Statement struct {
	// Path names the image: an absolute path, which may be any name of the
	// file, or for an image that is no local file its [storage.Name]. Of two
	// statements with one path the first counts, and the one with the
	// chain's spelling before all others; other names of one file must
	// agree. [ParseImageName] reads one.
	Path string
	// Pattern makes Path a pattern of [path.Match] that is matched with the
	// path of a local image as the chain spells it, cleaned, with no symlink
	// resolved. A malformed one matches nothing. A statement with a plain
	// path comes before one with a pattern; patterns that match one image
	// must agree.
	Pattern bool
	Format  probe.Format // one that [ParseFormat] returns
}

// Shown returns what people may see of the statement's path: all of a local one, and
// of a URI what [storage.Shown] leaves.
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
	Absolute string // what it means in the folder that it was given in; "" if it must not be shown
}

// Error names the absolute path, ready to be pasted into a shell.
func (e *RelativePathError) Error() string {
	word := finding.ShellWord(e.Absolute)
	if word == "PATH" {
		return "it is a relative path; give it absolutely"
	}
	return strconv.Quote(e.Path) + " is a relative path; give it absolutely: " + word
}

// Relative returns the error about a relative path that was given in the
// folder dir. What could be a URL without its scheme is not repeated, since
// there may be a password in it.
func Relative(path, dir string) *RelativePathError {
	if dir == "" || maybeURL(path) {
		return &RelativePathError{}
	}
	return &RelativePathError{path, filepath.Join(dir, path)}
}

// maybeURL reports whether a name that is no absolute path could be a URL, a part
// of one, or QEMU's colon form, in which there may be a password.
func maybeURL(name string) bool {
	_, host, at := strings.Cut(name, "@")
	return !strings.HasPrefix(name, "/") && (strings.ContainsAny(name, ":?") || at && strings.Contains(host, "/"))
}

// ParseImageName reads the name of an image as operators write it: an absolute
// path, which is returned as it is spelled; a file: URI, which means its path;
// or the URI of an image on the network (see [storage.Name]). A relative path is a
// [*RelativePathError], which names the absolute path below the folder dir. No error
// shows what may hold a password.
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
		return "", errors.New("what stands before its colon reads as a protocol: give the absolute path of a file, or a URI, such as nbd://host:10809/export")
	}
	return "", Relative(name, dir)
}

// fileURI returns the path that a file: URI (RFC 8089) means, of which rest is
// what follows the colon.
func fileURI(rest, dir string) (string, error) {
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		slash := strings.IndexByte(after, '/')
		if slash < 0 || slash > 0 && !strings.EqualFold(after[:slash], "localhost") {
			return "", errors.New("a file: URI names a file of this host: write file:///PATH")
		}
		rest = after[slash:]
	}
	if strings.ContainsAny(rest, "?#") {
		return "", errors.New("a file: URI has no query and no fragment: in a path write %3F for ? and %23 for #")
	}
	path, err := url.PathUnescape(rest)
	switch {
	case err != nil:
		return "", errors.New("a file: URI has a % that begins no escape: in a path write %25 for it")
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
		return errors.New("a URI must have no user name and no password in it")
	case strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("a URI must have no control character in it")
	}
	return nil
}

// ParseStatement reads NAME=FORMAT, as --trust takes it. The name is read by
// [ParseImageName], with dir, and may hold further equals signs. No error shows what
// may hold a password.
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
		return Statement{}, errors.New("what stands after the last = of a URI is no format that a libvirt disk can have")
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
