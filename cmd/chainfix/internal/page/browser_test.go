package page_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chainfix/chainfix/testdata/peers"
)

// TestPageInABrowser: chains and names that are hard to draw, many hosts, and many guests that have nothing
// in common, in a real Chromium.
func TestPageInABrowser(t *testing.T) {
	b := peers.StartBrowser(t)
	for _, c := range hosts() {
		if !c.drawn {
			continue // hosts like these are scanned and drawn by the program's own test
		}
		text := written(t, c.hosts...)
		file := filepath.Join(t.TempDir(), "page.html")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		took := b.Draw(file, c.name, os.Getenv("CHAINFIX_SCREENSHOTS"))
		t.Logf("%s: a page of %d KiB, opened in at most %d ms", c.name, len(text)>>10, took.Milliseconds())
	}
}
