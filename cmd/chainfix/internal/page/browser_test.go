package page_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chainfix/chainfix/testdata/peers"
)

// TestPageInABrowser: chains and names that are hard to draw, and many hosts, in a real Chromium.
func TestPageInABrowser(t *testing.T) {
	b := peers.StartBrowser(t)
	for _, c := range hosts() {
		if c.name != "odd" && c.name != "fleet" {
			continue // hosts like these are scanned and drawn by the program's own test
		}
		file := filepath.Join(t.TempDir(), "page.html")
		if err := os.WriteFile(file, []byte(written(t, c.hosts...)), 0o644); err != nil {
			t.Fatal(err)
		}
		b.Draw(file, c.name, os.Getenv("CHAINFIX_SCREENSHOTS"))
	}
}
