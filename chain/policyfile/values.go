package policyfile

import (
	"path"
	"path/filepath"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/probe"
)

func (r reader) rule(n *yaml.Node) (chain.Rule, error) {
	word, err := r.text(n, "rule")
	if err != nil {
		return 0, err
	}
	rule, err := chain.ParseRule(word)
	if err != nil {
		return 0, r.fail(n, ErrValue, "%v", err)
	}
	return rule, nil
}

func (r reader) target(n *yaml.Node) (libvirt.Version, error) {
	word, err := r.text(n, "target-libvirt")
	if err != nil {
		return libvirt.Version{}, err
	}
	v, err := libvirt.ParseVersion(word)
	if err != nil {
		return libvirt.Version{}, r.fail(n, ErrValue, "%v", err)
	}
	return v, nil
}

func (r reader) format(n *yaml.Node) (probe.Format, error) {
	word, err := r.text(n, "format")
	if err != nil {
		return "", err
	}
	f, err := chain.ParseFormat(word)
	if err != nil {
		return "", r.fail(n, ErrValue, "%v", err)
	}
	return f, nil
}

// headers parses "believed" or "judged", which excludes the folder from an
// enclosing believed one.
func (r reader) headers(n *yaml.Node) (believed bool, err error) {
	word, err := r.text(n, "headers")
	switch {
	case err != nil:
		return false, err
	case word != "believed" && word != "judged":
		return false, r.fail(n, ErrValue, `headers must be "believed" or "judged"`)
	}
	return word == "believed", nil
}

// path parses an absolute, clean path.
func (r reader) path(n *yaml.Node, what string) (string, error) {
	p, err := r.text(n, what)
	if err != nil {
		return "", err
	}
	return r.absolute(n, what, p)
}

func (r reader) absolute(n *yaml.Node, what, p string) (string, error) {
	switch {
	case p == "":
		return "", r.fail(n, ErrValue, "%s must be an absolute path", what)
	case !strings.HasPrefix(p, "/"):
		return "", r.fail(n, ErrValue, "%s: %v", what, chain.Relative(p, r.folderOfFile()))
	case strings.ContainsFunc(p, unicode.IsControl):
		return "", r.fail(n, ErrValue, "%s contains a control character", what)
	case path.Clean(p) != p:
		return "", r.fail(n, ErrValue, `%s must not contain ".", "..", a doubled or a trailing slash: write %q`, what, path.Clean(p))
	}
	return p, nil
}

// folderOfFile returns the folder of the policy file, to which the absolute
// path in an error about a relative one refers.
func (r reader) folderOfFile() string {
	file, err := filepath.Abs(r.name)
	if err != nil {
		return ""
	}
	return filepath.Dir(file)
}

// image parses the path of an image, or its file: URI.
func (r reader) image(n *yaml.Node, what string) (string, error) {
	name, err := r.text(n, what)
	switch {
	case err != nil:
		return "", err
	case name == "":
		return "", r.fail(n, ErrValue, "%s must be an absolute path", what)
	}
	p, err := chain.ParseImageName(name, r.folderOfFile())
	switch {
	case err != nil:
		return "", r.fail(n, ErrValue, "%s: %v", what, err)
	case !strings.HasPrefix(p, "/"):
		return "", r.fail(n, ErrValue, `%s is an image on the network: use "source"`, what)
	}
	return r.absolute(n, what, p)
}

// glob parses a pattern of [path.Match] for absolute paths.
func (r reader) glob(n *yaml.Node, what string) (string, error) {
	pattern, err := r.path(n, what)
	if err != nil {
		return "", err
	}
	_, err = path.Match(pattern, "")
	switch {
	case err != nil:
		return "", r.fail(n, ErrValue, "%s is malformed", what)
	case !strings.ContainsAny(pattern, `*?[`):
		return "", r.fail(n, ErrValue, `%s contains none of *, ? and [: use "path"`, what)
	case strings.Contains(pattern, "**"):
		return "", r.fail(n, ErrValue, `%s contains **, which would mean the same as *: a pattern does not match subfolders`, what)
	case strings.Contains(pattern, "[!"):
		return "", r.fail(n, ErrValue, "%s contains [!, which means [^ only in a shell: write [^", what)
	}
	return pattern, nil
}

// source parses the name of an image on the network, in the form of
// [chain.Name]. Errors do not show it, since it may contain a password.
func (r reader) source(n *yaml.Node, what string) (string, error) {
	name, err := r.text(n, what)
	switch {
	case err != nil:
		return "", err
	case strings.HasPrefix(strings.ToLower(name), "file:"):
		return "", r.fail(n, ErrValue, `%s is a local file: use "path"`, what)
	case strings.HasPrefix(name, "/") || !strings.Contains(name, "://"):
		return "", r.fail(n, ErrValue, "%s must be a URI, such as nbd://host:10809/export", what)
	}
	if name, err = chain.ParseImageName(name, ""); err != nil {
		return "", r.fail(n, ErrValue, "%s: %v", what, err)
	}
	return name, nil
}
