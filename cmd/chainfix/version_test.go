package main

import (
	"regexp"
	"runtime/debug"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestVersionOfEveryKindOfSource: what git archive filled in says more than what the go
// command recorded, because an archive may have been put under another version control; and
// a commit has the same version in an archive and in a checkout. The records are those that
// go 1.26 and git 2.39 make.
func TestVersionOfEveryKindOfSource(t *testing.T) {
	const commit = "83c15c3f2f4c4e8f0e6f0dbb8c0c3d6a5b1e2d3c"
	day := time.Date(2026, 11, 28, 19, 33, 7, 0, time.UTC)
	recorded := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}, Settings: settings}
	}
	checkout := func(version, modified string) *debug.BuildInfo {
		return recorded(version, debug.BuildSetting{Key: "vcs.revision", Value: commit},
			debug.BuildSetting{Key: "vcs.time", Value: "2026-11-28T19:33:07Z"}, debug.BuildSetting{Key: "vcs.modified", Value: modified})
	}
	const unfilled = "$Format:%H %cI %(describe:tags=true,match=v*)$\n"
	const filled = commit + " 2026-11-28T20:33:07+01:00 "
	for name, c := range map[string]struct {
		archived string
		info     *debug.BuildInfo
		want     origin
	}{
		"nothing is recorded":     {unfilled, nil, origin{}},
		"without version control": {unfilled, recorded("(devel)"), origin{}},
		"a checkout of a tag":     {unfilled, checkout("v1.2.3", "false"), origin{"v1.2.3", commit, day, false}},
		"a checkout after a tag": {unfilled, checkout("v1.2.4-0.20261128193307-83c15c3f2f4c", "false"),
			origin{"v1.2.4-0.20261128193307-83c15c3f2f4c", commit, day, false}},
		"a changed checkout":         {unfilled, checkout("v1.2.3+dirty", "true"), origin{"v1.2.3+dirty", commit, day, true}},
		"go install of a tag":        {unfilled, recorded("v1.2.3"), origin{version: "v1.2.3"}},
		"go install of a prerelease": {unfilled, recorded("v1.2.3-rc.1"), origin{version: "v1.2.3-rc.1"}},
		"go install of a branch": {unfilled, recorded("v0.0.0-20261128193307-83c15c3f2f4c"),
			origin{"v0.0.0-20261128193307-83c15c3f2f4c", "83c15c3f2f4c", day, false}},
		"go install of a branch after a tag": {unfilled, recorded("v1.2.4-0.20261128193307-83c15c3f2f4c"),
			origin{"v1.2.4-0.20261128193307-83c15c3f2f4c", "83c15c3f2f4c", day, false}},
		"an archive of a tag":        {filled + "v1.2.3\n", recorded("(devel)"), origin{"v1.2.3", commit, day, false}},
		"an archive of a prerelease": {filled + "v1.2.3-rc-1\n", recorded("(devel)"), origin{"v1.2.3-rc-1", commit, day, false}},
		"an archive after a tag": {filled + "v1.2.3-14-g83c15c3f\n", recorded("(devel)"),
			origin{"v1.2.4-0.20261128193307-83c15c3f2f4c", commit, day, false}},
		"an archive after a prerelease": {filled + "v1.2.3-rc.1-14-g83c15c3f\n", recorded("(devel)"),
			origin{"v1.2.3-rc.1.0.20261128193307-83c15c3f2f4c", commit, day, false}},
		"an archive without a tag": {filled + "\n", recorded("(devel)"),
			origin{"v0.0.0-20261128193307-83c15c3f2f4c", commit, day, false}},
		"an archive by a git that cannot describe": {filled + "%(describe:tags=true,match=v*)\n", recorded("(devel)"),
			origin{"v0.0.0-20261128193307-83c15c3f2f4c", commit, day, false}},
		"an archive in somebody's repository": {filled + "v1.2.3\n", checkout("v0.0.0-20270101000000-0123456789ab", "true"),
			origin{"v1.2.3", commit, day, false}},
	} {
		t.Run(name, func(t *testing.T) {
			got := originOf(c.archived, c.info)
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(origin{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestVersionText: one line for each thing that somebody who reports an error has to say.
func TestVersionText(t *testing.T) {
	want := regexp.MustCompile(`^chainfix \S+
commit:  .+
date:    .+
go:      go1\S+ \w+/\w+
libvirt: known from 6\.1\.0 to \d+\.\d+\.0
$`)
	if got := versionText(); !want.MatchString(got) {
		t.Errorf("%q does not match %s", got, want)
	}
}
