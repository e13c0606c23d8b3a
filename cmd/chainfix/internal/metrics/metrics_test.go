package metrics_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/metrics"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/testdata/golden"
)

// made is a report with a bit of everything.
func made() *report.Host {
	return &report.Host{
		Libvirt: "9.0.0",
		Run:     report.Run{Chainfix: "v1.2.3", Time: time.Unix(1_800_000_000, 0), Targets: []string{"9.0.0", "11.3.0+10.0.0"}},
		Problems: []report.Problem{
			{State: report.Guessed, Code: "format-unrecorded", Guests: []string{"secret-guest-1", "secret-guest-2"}},
			{State: report.Guessed, Code: "format-unrecorded", Guests: []string{"secret-guest-3"}},
			{State: report.WillNotStart, Code: "image-missing", Guests: []string{"secret-guest-4"}},
			{State: report.WillNotStart, Guests: []string{"secret-guest-5"}},
		},
		Decisions: []report.Decision{{Code: "probed-backing", Name: "/secret/image", Answers: []report.Answer{{Format: "raw", Flag: "--trust /secret/image=raw"}}},
			{Code: "image-missing", Guests: []string{"secret-guest-4"}}},
		Summary: report.Summary{
			Guests:   7,
			States:   map[report.State]int{report.WillNotStart: 2, report.Guessed: 3, report.Fine: 2},
			Verdicts: map[string]int{"explicit": 2, "fixable": 3, "refused": 2},
			Outcomes: map[string]map[string]int{
				"9.0.0":         {"starts": 7, "refuses": 0, "misopens": 0, "unknown": 0},
				"11.3.0+10.0.0": {"starts": 5, "refuses": 2, "misopens": 0, "unknown": 0},
			},
			HeldBack: 1, Change: 3,
		},
	}
}

func written(t *testing.T, h *report.Host) string {
	t.Helper()
	var b strings.Builder
	if err := metrics.Write(&b, h); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestWrite: the whole text, as promtool takes it (.ci/browser asks that).
func TestWrite(t *testing.T) {
	text := written(t, made())
	golden.File(t, "testdata/host.prom", text)
	if strings.Contains(text, "secret") {
		t.Error("a guest or an image is named")
	}
}

// TestLabels: whatever is in a label is one line, and no other label or sample.
func TestLabels(t *testing.T) {
	h := made()
	h.Run.Chainfix, h.Libvirt = "a\"} 7\nb 1\\", "\xff\n\""
	text := written(t, h)
	line := regexp.MustCompile(`^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="([^"\\]|\\["\\n])*"(,[a-z]+="([^"\\]|\\["\\n])*")*\})? [0-9]+)$`)
	for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if !line.MatchString(l) {
			t.Errorf("not Prometheus' format: %q", l)
		}
	}
	if want := `chainfix_build_info{version="a\"} 7\nb 1\\"} 1`; !strings.Contains(text, want+"\n") {
		t.Errorf("no line %s\n%s", want, text)
	}
}

// TestNothing: a host with an unknown libvirt and no guests has metrics, too.
func TestNothing(t *testing.T) {
	text := written(t, &report.Host{Run: report.Run{Time: time.Unix(1, 0)}})
	for _, want := range []string{`chainfix_guests{state="will-not-start"} 0`, `chainfix_guests_to_change 0`, `chainfix_decisions 0`, `chainfix_scan_timestamp_seconds 1`} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no line %s\n%s", want, text)
		}
	}
	if strings.Contains(text, "libvirt_info") {
		t.Errorf("there is a libvirt\n%s", text)
	}
}

var errFull = errors.New("full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWriteFails(t *testing.T) {
	if err := metrics.Write(full{}, made()); !errors.Is(err, errFull) {
		t.Errorf("error %v", err)
	}
}
