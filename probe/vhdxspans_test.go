package probe

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestVHDXSpans: asking all spans at once tells the same as asking each, empty
// ones and sums that wrap around included.
func TestVHDXSpans(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	// Few different places, at both ends of what an offset can be.
	random := func() vhdxSpan {
		s := vhdxSpan{r.Uint64N(40), r.Uint64N(6)}
		if r.IntN(8) == 0 {
			s.off = -s.off
		}
		return s
	}
	overlapped := 0
	for range 20_000 {
		spans := make([]vhdxSpan, r.IntN(6))
		for i := range spans {
			spans[i] = random()
		}
		s := random()
		want := slices.ContainsFunc(spans, s.overlaps)
		if want {
			overlapped++
		}
		if got := newVHDXSpans(spans).overlap(s); got != want {
			t.Fatalf("%v and %v: %t, want %t", s, spans, got, want)
		}
	}
	if overlapped < 1000 {
		t.Errorf("only %d overlap", overlapped)
	}
}
