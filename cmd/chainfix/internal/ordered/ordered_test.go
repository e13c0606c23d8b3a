package ordered

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestMapKeepsTheOrder: whatever the bounds, what comes out is what a loop would give,
// and no more is under way than the bounds allow.
func TestMapKeepsTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.SliceOfN(rapid.Int64Range(0, 40), 0, 200).Draw(t, "items")
		bounds := Bounds{AtOnce: rapid.IntRange(0, 16).Draw(t, "at once"), Items: rapid.IntRange(0, 16).Draw(t, "bound"), Bytes: rapid.Int64Range(0, 30).Draw(t, "bytes")}
		leave := rapid.IntRange(0, 220).Draw(t, "leave")
		var begun, taken, bytes atomic.Int64
		var got []int64
		for n := range Map(t.Context(), bounds, slices.Values(items), func(_ context.Context, take Take, n int64) int64 {
			if under := begun.Add(1) - taken.Load(); under > int64(max(bounds.Items, 1))+1 {
				t.Errorf("%d items are under way", under)
			}
			if err := take(n); err != nil {
				return 1
			}
			if all := bytes.Add(n); all > bounds.Bytes+40 {
				t.Errorf("%d bytes are under way", all)
			}
			return -n
		}) {
			taken.Add(1)
			bytes.Add(n)
			got = append(got, -n)
			if len(got) == leave {
				break
			}
		}
		want := items
		if leave > 0 && leave < len(items) {
			want = items[:leave]
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v, not %v", got, want)
		}
	})
}

// TestSlowItemsLetOthersIn: items that wait for something dead keep no others from being
// worked on, up to the bound of all.
func TestSlowItemsLetOthersIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		dead := func(ctx context.Context, _ Take, n int) int { time.Sleep(time.Minute); return n }
		var got []int
		for n := range Map(t.Context(), Bounds{AtOnce: 2, Items: 20}, slices.Values(make([]int, 20)), dead) {
			got = append(got, n)
		}
		if since := time.Since(begun); len(got) != 20 || since != time.Minute+9*time.Second {
			t.Errorf("%d items in %s", len(got), since)
		}
	})
}

// TestMapEndsWithItsContext: once the context has ended no more items are asked for.
func TestMapEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	endless := func(yield func(int) bool) {
		for n := 0; yield(n); n++ {
		}
	}
	count := 0
	for range Map(ctx, Bounds{Items: 4}, endless, func(ctx context.Context, _ Take, n int) error {
		if n == 10 {
			cancel()
		}
		return ctx.Err()
	}) {
		count++
	}
	if count < 10 {
		t.Errorf("%d items", count)
	}
}
