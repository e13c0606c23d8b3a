package corpus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// kind is the type of a package in sources.list.
type kind string

const (
	source kind = "deb-src"
	binary kind = "deb"
)

// fetched returns the folder with the archives of a package, from the first of
// the suites that has them.
func fetched(name string, k kind, suites ...string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	base = filepath.Join(base, "chainfix-test")
	folder := filepath.Join(base, map[kind]string{source: "sources", binary: "packages"}[k], name)
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return "", err
	}
	scratch, err := os.MkdirTemp(base, "fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	var failures error
	for _, suite := range suites {
		err := fetch(filepath.Join(scratch, suite), name, k, suite)
		if err == nil {
			return folder, keep(filepath.Join(scratch, suite, "archives"), folder)
		}
		failures = errors.Join(failures, err)
	}
	return "", failures
}

// ownSuite means the Debian releases of the machine itself.
const ownSuite = "own"

func keep(archives, folder string) error {
	// Only a complete folder gets the final name. It may exist by now, from a
	// concurrent run.
	err := os.Rename(archives, folder)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// fetch downloads a package of a suite into scratch/archives. The machine's
// package lists do not change: apt keeps those of this run in scratch.
func fetch(scratch, name string, k kind, suite string) error {
	for _, dir := range []string{"sources.list.d", "lists/partial", "cache/archives/partial", "archives"} {
		if err := os.MkdirAll(filepath.Join(scratch, dir), 0o755); err != nil {
			return err
		}
	}
	if err := copySources(filepath.Join(scratch, "sources.list.d"), k, suite); err != nil {
		return err
	}
	// A source that fails may not be needed.
	updated := aptGet(scratch, "update")
	download := []string{"download", name}
	if k == source {
		download = []string{"source", "--download-only", name}
	}
	if err := aptGet(scratch, download...); err != nil {
		return errors.Join(updated, err)
	}
	return nil
}

func aptGet(scratch string, args ...string) error {
	failure := "apt-get " + strings.Join(args, " ")
	for _, option := range []string{
		"Dir::Etc::SourceList=/dev/null",
		"Dir::Etc::SourceParts=" + filepath.Join(scratch, "sources.list.d"),
		"Dir::State::Lists=" + filepath.Join(scratch, "lists"),
		"Dir::State::Status=/dev/null",
		"Dir::Cache=" + filepath.Join(scratch, "cache"),
		"APT::Update::Error-Mode=any", // else a list that cannot be had is not even mentioned
		"Acquire::http::Timeout=20",
		"Acquire::https::Timeout=20",
	} {
		args = append(args, "-o", option)
	}
	cmd := exec.Command("apt-get", append(args, "-q")...)
	cmd.Dir = filepath.Join(scratch, "archives")
	report, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	for line := range strings.Lines(string(report)) {
		if strings.HasPrefix(line, "E: ") {
			failure += "\n" + strings.TrimSpace(line)
		}
	}
	return fmt.Errorf("%s: %w", failure, err)
}

// The two formats of apt's sources: lines in *.list, paragraphs in *.sources.
// A machine often has no line for source packages.
var (
	oneLine   = regexp.MustCompile(`(?m)^[ \t]*deb[ \t]`)
	paragraph = regexp.MustCompile(`(?mi)^Types:.*$`)

	oneLineSuite   = regexp.MustCompile(`(?m)^(deb(?:-src)?[ \t]+(?:\[[^\]\n]*\][ \t]+)?\S+[ \t]+)\S+`)
	paragraphSuite = regexp.MustCompile(`(?mi)^Suites:.*$`)
)

// copySources writes an apt configuration into dir for packages of a kind from
// the machine's own sources.
func copySources(dir string, k kind, suite string) error {
	var files []string
	for _, pattern := range []string{"/etc/apt/sources.list", "/etc/apt/sources.list.d/*.list", "/etc/apt/sources.list.d/*.sources"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		files = append(files, found...)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if filepath.Ext(file) == ".list" {
			text = oneLine.ReplaceAll(text, []byte(string(k)+" "))
		} else {
			text = paragraph.ReplaceAll(text, []byte("Types: "+string(k)))
		}
		if suite != ownSuite {
			text = oneLineSuite.ReplaceAll(text, []byte("${1}"+suite))
			text = paragraphSuite.ReplaceAll(text, []byte("Suites: "+suite))
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
