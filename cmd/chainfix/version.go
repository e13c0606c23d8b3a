package main

import (
	"cmp"
	_ "embed"
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/chainfix/chainfix/chain/libvirt"
)

// archived says of which commit the source is, if it comes from git archive, as the
// packages' source does and the archives that a forge offers: git then fills in its commit,
// the time of that, and what git describe says (export-subst in .gitattributes). In a
// checkout it is the unfilled form. The go command takes no notice of the attribute.
//
//go:embed archive.txt
var archived string

// origin is what is known of the source of this program.
type origin struct {
	version string    // a tag, such as v1.2.3, or a version as the go command makes it of a commit; "" if it is not known
	commit  string    // "" if it is not known; of a module it may be shortened
	time    time.Time // that of the commit, in UTC; zero if it is not known
	changed bool      // it has changes that are in no commit
}

// version is that of this program, in a word.
func version() string { return cmp.Or(buildVersion(), "(devel)") }

// buildVersion is the version of this program; "" if nothing recorded it.
func buildVersion() string {
	info, _ := debug.ReadBuildInfo()
	return originOf(archived, info).version
}

// versionText is what chainfix version prints.
func versionText() string {
	info, _ := debug.ReadBuildInfo()
	o := originOf(archived, info)
	const unrecorded = "not recorded"
	commit, date := unrecorded, unrecorded
	if o.commit != "" {
		commit = o.commit
	}
	if o.changed {
		commit += ", with changes"
	}
	if !o.time.IsZero() {
		date = o.time.Format(time.RFC3339)
	}
	return fmt.Sprintf("chainfix %s\ncommit:  %s\ndate:    %s\ngo:      %s %s/%s\nlibvirt: known from %s to %s\n",
		version(), commit, date, runtime.Version(), runtime.GOOS, runtime.GOARCH, libvirt.Oldest, libvirt.Newest)
}

// originOf reads the origin from what git archive filled in or, where it did not, from what
// the go command recorded, which is nil if it recorded nothing.
func originOf(archived string, info *debug.BuildInfo) origin {
	if o, ok := archiveOrigin(archived); ok {
		return o
	}
	var o origin
	if info == nil {
		return o
	}
	if info.Main.Version != "(devel)" {
		o.version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			o.commit = s.Value
		case "vcs.time":
			if t, err := time.Parse(time.RFC3339, s.Value); err == nil {
				o.time = t.UTC()
			}
		case "vcs.modified":
			o.changed = s.Value == "true"
		}
	}
	if o.commit == "" {
		o.commit, o.time = pseudoCommit(o.version)
	}
	return o
}

// archiveOrigin reads what git archive filled in, and reports whether it did.
func archiveOrigin(archived string) (origin, bool) {
	commit, rest, _ := strings.Cut(strings.TrimSpace(archived), " ")
	date, described, _ := strings.Cut(rest, " ")
	t, err := time.Parse(time.RFC3339, date)
	if err != nil || len(commit) < hashDigits {
		return origin{}, false
	}
	o := origin{commit: commit, time: t.UTC()}
	o.version = describedVersion(described, commit[:hashDigits], o.time.Format(stampLayout))
	return o, true
}

// The parts of a version that the go command makes of a commit (go.dev/ref/mod, "Pseudo-versions").
const (
	hashDigits  = 12
	stampLayout = "20060102150405"
)

// describedVersion is the version of a commit by what git describe says of it: a tag, or one
// with "-N-gHASH" behind it for the Nth commit after the tag. Then, and where no tag was found
// or git is too old to describe, it is the version that the go command makes of the commit
// in a checkout.
func describedVersion(described, hash, stamp string) string {
	if !strings.HasPrefix(described, "v") {
		return "v0.0.0-" + stamp + "-" + hash
	}
	words := strings.Split(described, "-")
	after := len(words) - 2 // of which words a tag consists that is not the commit's own
	if after < 1 || !strings.HasPrefix(words[after+1], "g") || !isNumber(words[after]) {
		return described
	}
	tag := strings.Join(words[:after], "-")
	if dot := strings.LastIndexByte(tag, '.'); after == 1 && dot >= 0 {
		if patch, err := strconv.Atoi(tag[dot+1:]); err == nil {
			return fmt.Sprintf("%s.%d-0.%s-%s", tag[:dot], patch+1, stamp, hash)
		}
	}
	return tag + ".0." + stamp + "-" + hash
}

// pseudoCommit returns the commit of which the go command made a version, shortened, and the
// commit's time; both are empty for any other version.
func pseudoCommit(version string) (string, time.Time) {
	words := strings.Split(strings.TrimSuffix(version, "+dirty"), "-")
	n := len(words)
	if n < 2 || len(words[n-1]) != hashDigits {
		return "", time.Time{}
	}
	stamp := words[n-2]
	t, err := time.Parse(stampLayout, stamp[strings.LastIndexByte(stamp, '.')+1:])
	if err != nil {
		return "", time.Time{}
	}
	return words[n-1], t
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 64)
	return err == nil
}
