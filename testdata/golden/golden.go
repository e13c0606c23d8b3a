// Package golden compares generated texts with their files, or writes the
// files if CHAINFIX_UPDATE=1 is in the environment.
package golden

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Update reports whether to rewrite golden files.
func Update() bool { return os.Getenv("CHAINFIX_UPDATE") == "1" }

// File checks that a file has exactly this text.
func File(t testing.TB, path, text string) {
	t.Helper()
	compare(t, path, text, func(string) (string, bool) { return text, true })
}

// Part checks that a file has exactly this text between two marks.
func Part(t testing.TB, path, begin, text, end string) {
	t.Helper()
	compare(t, path, text, func(have string) (string, bool) {
		before, rest, begins := strings.Cut(have, begin)
		_, after, ends := strings.Cut(rest, end)
		return before + begin + text + end + after, begins && ends
	})
}

func compare(t testing.TB, path, text string, put func(have string) (want string, ok bool)) {
	t.Helper()
	have, err := os.ReadFile(path)
	if err != nil && !Update() {
		t.Fatal(err)
	}
	want, ok := put(string(have))
	if !ok {
		t.Fatalf("%s has no place for what is generated", path)
	}
	if Update() {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(have), want); diff != "" {
		t.Errorf("%s is out of date: CHAINFIX_UPDATE=1 go test writes it anew\n-file +now\n%s", path, diff)
	}
}
