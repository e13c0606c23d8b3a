package text_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/text"
	"github.com/chainfix/chainfix/testdata/golden"
)

// made is a report under construction.
type made struct{ report.Host }

// add adds guests in one state, and for all of them one cause.
func (m *made) add(n int, state report.State, verdict string, p report.Problem) (names []string) {
	for range n {
		name := fmt.Sprintf("guest%03d", len(m.Guests)+1)
		needed := state != report.Fine
		g := report.Guest{Name: name, State: state, Verdict: verdict, Needed: &needed, Outcome: make(map[string]string)}
		for _, target := range m.Run.Targets {
			g.Outcome[target] = map[report.State]string{report.WillNotStart: "refuses", report.WrongData: "misopens", report.Unreadable: "unknown", report.Unknown: "unknown"}[state]
			if g.Outcome[target] == "" {
				g.Outcome[target] = "starts"
			}
		}
		m.Guests = append(m.Guests, g)
		names = append(names, name)
	}
	if p.Text != "" {
		p.State, p.Guests = state, names
		m.Problems = append(m.Problems, p)
	}
	m.Summary.Guests += n
	return names
}

// decide adds a decision about an image that guests wait for.
func (m *made) decide(image, name string, waiting []string) {
	m.Decisions = append(m.Decisions, report.Decision{Code: "probed-backing", Image: image, Name: name,
		Question: fmt.Sprintf("what is %q? its format is not recorded", name), Claims: `qcow2 of 10 GiB, and names "system.img"`,
		Against: []string{`it was the raw disk "vda" of "old"`},
		Answers: []report.Answer{{Format: "qcow2", Flag: "--trust " + name + "=qcow2"}, {Format: "raw", Flag: "--trust " + name + "=raw"}}, Guests: waiting})
}

// cause is a cause that no decision is about.
func cause(image, what, hint string) report.Problem {
	return report.Problem{Code: "image-missing", Image: image, Text: what, Hint: hint}
}

// threeHundred is a host of 300 guests, with the causes of so many times as many guests.
func threeHundred(targets ...string) *report.Host {
	m := &made{}
	m.Run.Targets = targets
	waiting := m.add(20, report.WillNotStart, "refused", report.Problem{Code: "probed-backing", Image: "i1", Text: "the first image"})
	m.decide("i1", "/images/base.img", waiting)
	m.add(5, report.WillNotStart, "refused", cause("i2", `"/images/gone.qcow2" does not exist`, "restore it, or take the disk out of the definition"))
	m.add(60, report.Guessed, "fixable", cause("i3", `the format of "/images/system.img" is not recorded`, "chainfix host apply records what it is"))
	m.add(1, report.WrongData, "fixable", cause("i4", `"/images/golden.img" is vhdx, and libvirt takes it as raw`, ""))
	m.add(2, report.Unreadable, "refused", cause("", "not the definition of a guest", ""))
	m.add(2, report.Unknown, "refused", cause("i5", `"nbd://storage/export" is not on this host`, "--network"))
	m.add(210, report.Fine, "explicit", report.Problem{})
	m.Guests[len(m.Guests)-215].HeldBack = "bytes-change"
	m.Summary.Change, m.Summary.HeldBack = 60, 1
	return &m.Host
}

// written is the text of a report.
func written(t *testing.T, h *report.Host, o text.Options) string {
	t.Helper()
	var b strings.Builder
	p := text.New(&b, h.Run.Targets, o)
	for i := range h.Guests {
		p.Guest(&h.Guests[i])
	}
	if err := p.End(h); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestSummary: 300 guests fit on a screen; each cause is there once, and the numbers add up.
func TestSummary(t *testing.T) {
	for _, c := range []struct {
		name string
		h    *report.Host
		o    text.Options
	}{
		{"300", threeHundred("11.3.0"), text.Options{}},
		{"300-targets", threeHundred("9.0.0", "11.3.0"), text.Options{}},
		{"300-narrow", threeHundred("11.3.0"), text.Options{Width: 60}},
		{"300-color", threeHundred("11.3.0"), text.Options{Width: 80, Color: true}},
		{"300-problems", threeHundred("11.3.0"), text.Options{Detail: text.Problems}},
		{"many-causes", manyCauses(100), text.Options{}},
		{"many-causes-narrow", manyCauses(100), text.Options{Width: 80}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := written(t, c.h, c.o)
			golden.File(t, "testdata/"+c.name+".txt", got)
			if rows := strings.Count(got, "\n"); rows > text.Rows {
				t.Errorf("%d rows:\n%s", rows, got)
			}
			for _, p := range c.h.Problems {
				if n := strings.Count(got, p.Text+" "); n > 1 {
					t.Errorf("%q is there %d times", p.Text, n)
				}
			}
			if c.o.Detail != text.Problems {
				if n := sum(got); n != len(c.h.Guests) {
					t.Errorf("the sections have %d guests together, of %d:\n%s", n, len(c.h.Guests), got)
				}
			}
		})
	}
}

// sum is how many guests the sections of states have together.
func sum(got string) (n int) {
	for _, m := range regexp.MustCompile(`(?m)^(?:\x1b\[[0-9;]*m)?([A-Z][A-Z ]+).*\((\d+) guests?\)`).FindAllStringSubmatch(got, -1) {
		if !strings.HasPrefix(m[1], "NEEDS") && !strings.HasPrefix(m[1], "HELD") {
			i, _ := strconv.Atoi(m[2])
			n += i
		}
	}
	return n
}

// manyCauses is a host on which every guest has causes of its own, and decisions.
func manyCauses(n int) *report.Host {
	m := &made{}
	m.Run.Targets = []string{"11.3.0"}
	for i := range n {
		image := fmt.Sprintf("i%d", i)
		m.decide(image, fmt.Sprintf("/images/base%d.img", i), m.add(1, report.WillNotStart, "refused", report.Problem{Code: "probed-backing", Image: image, Text: "never shown " + image}))
	}
	for i, state := range []report.State{report.WillNotStart, report.Guessed, report.WrongData, report.Unknown} {
		for j := range n {
			m.add(1, state, "fixable", cause(fmt.Sprintf("j%d-%d", i, j), fmt.Sprintf("cause %d-%d is what keeps this guest from being what it should be, and no other", i, j), "look at it"))
		}
	}
	return &m.Host
}

// TestFull: with -v every cause and every guest is there, with all findings of it.
func TestFull(t *testing.T) {
	h := manyCauses(30)
	h.Guests[3].Disks = []report.Disk{{Target: "vda", Findings: []report.Finding{{Code: "probed-backing", Level: "error", Text: "a text", Hint: "a hint"}},
		Prediction: map[string]string{"11.3.0": "refuses"}, Reason: map[string]string{"11.3.0": "format not specified"}}}
	got := written(t, h, text.Options{Detail: text.Full})
	for _, d := range h.Decisions {
		if strings.Count(got, d.Question) != 1 {
			t.Errorf("%q is not there once", d.Question)
		}
	}
	for _, g := range h.Guests {
		if strings.Count(got, fmt.Sprintf("%q;", g.Name)) != 1 {
			t.Errorf("%q is not there once", g.Name)
		}
	}
	for _, line := range []string{"guest004 vda: error: [probed-backing] a text\nhint: a hint\n", "guest004 vda: libvirt 11.3.0 will not start it: format not specified\n"} {
		if !strings.Contains(got, line) {
			t.Errorf("%q is not in\n%s", line, got)
		}
	}
	if strings.Contains(got, "-v shows them") {
		t.Error("something is left out")
	}
}

// TestNothingWrong: without problems the summary has only numbers, and -q prints nothing.
func TestNothingWrong(t *testing.T) {
	m := &made{}
	m.add(1, report.Fine, "explicit", report.Problem{})
	if got, want := written(t, &m.Host, text.Options{}), "NOTHING TO DO (1 guest)\n1 guest: 1 explicit, 0 fixable, 0 need a decision\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := written(t, &m.Host, text.Options{Detail: text.Problems}); got != "" {
		t.Errorf("%q", got)
	}
}

// TestFiltered: what is filtered out is absent, and the summary says so.
func TestFiltered(t *testing.T) {
	h := threeHundred("11.3.0")
	f, err := report.NewFilter([]string{"guessed", "wrong-data"}, "")
	if err != nil {
		t.Fatal(err)
	}
	s := f.Selection()
	var guests []report.Guest
	for _, g := range h.Guests {
		if g, ok := s.Guest(g); ok {
			guests = append(guests, g)
		}
	}
	shown := s.Host(*h)
	shown.Guests = guests
	got := written(t, &shown, text.Options{Some: true})
	golden.File(t, "testdata/filtered.txt", got)
	if sum(got) != 61 || strings.Contains(got, "WILL NOT START") || !strings.HasSuffix(got, "\n61 of 300 guests shown\n") {
		t.Errorf("%s", got)
	}
}

// TestNarrow: no line is wider than the terminal, except a hint, which must be ready to
// paste, and words that do not fit on any line.
func TestNarrow(t *testing.T) {
	h := manyCauses(10)
	h.Guests[0].Name = strings.Repeat("long", 1000)
	h.Problems[0].Guests = []string{h.Guests[0].Name}
	for columns := 40; columns < 200; columns += 7 {
		got := written(t, h, text.Options{Width: columns})
		for _, line := range strings.Split(got, "\n") {
			hint := strings.HasPrefix(line, "    answer:")
			if !hint && len(line) > columns {
				t.Errorf("in %d columns: %q", columns, line)
			}
		}
	}
}

// TestNames: a name that could control a terminal is quoted, wherever it is.
func TestNames(t *testing.T) {
	hostile := []string{"a\x1b[2Jb", "a\nb", "a\u202eb", "a: b", "a b"}
	m := &made{}
	m.Run.Targets = []string{"11.3.0"}
	for _, name := range hostile {
		m.add(1, report.Guessed, "fixable", cause("i", "cause", ""))
		g := &m.Guests[len(m.Guests)-1]
		g.Name = name
		g.Disks = []report.Disk{{Target: name, Findings: []report.Finding{{Level: "info", Text: "text"}}}}
		m.Problems[len(m.Problems)-1].Guests = []string{name}
	}
	for _, detail := range []text.Detail{text.Summary, text.Full} {
		got := written(t, &m.Host, text.Options{Detail: detail})
		for _, name := range hostile {
			if !strings.Contains(got, strconv.Quote(name)) {
				t.Errorf("%q is not in\n%s", name, got)
			}
		}
		if i := strings.IndexFunc(got, func(r rune) bool { return r != '\n' && !strconv.IsPrint(r) }); i >= 0 {
			t.Errorf("%q", got[i:])
		}
	}
	if !slices.Equal(hostile, []string{m.Guests[0].Name, m.Guests[1].Name, m.Guests[2].Name, m.Guests[3].Name, m.Guests[4].Name}) {
		t.Error("the report was changed")
	}
}
