package limit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func never(context.Context) (int, error) { select {} }

func answers(n int) func(context.Context) (int, error) {
	return func(context.Context) (int, error) { return n, nil }
}

// untilReleased answers when the test ends.
func untilReleased(t *testing.T) func(context.Context) (int, error) {
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	return func(context.Context) (int, error) { <-end; return 0, nil }
}

// inBubble runs a test with a fake clock that advances when all goroutines
// wait, and lets the workers end.
func inBubble(t *testing.T, f func(t *testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(2 * idleTime) })
		f(t)
	})
}

// TestUnansweredIsAskedOnce: the time limit starts with the first request, and
// a path without an answer is not requested again.
func TestUnansweredIsAskedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := New(2, 10*time.Second)
		begun := time.Now()
		_, err := Do(t.Context(), r, "/nowhere/image", untilReleased(t))
		var unanswered *UnansweredError
		if !errors.As(err, &unanswered) || unanswered.Path != "/nowhere/image" || unanswered.After != 10*time.Second || time.Since(begun) != 10*time.Second {
			t.Fatalf("%v after %s", err, time.Since(begun))
		}
		if _, err := Do(t.Context(), r, "/nowhere/image", answers(1)); !errors.As(err, &unanswered) {
			t.Errorf("asked again: %v", err)
		}
		if n, err := Do(t.Context(), r, "/nowhere/other", answers(7)); n != 7 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if since := time.Since(begun); since != 10*time.Second {
			t.Errorf("%s in all", since)
		}
	})
}

// TestQueueDoesNotCount: waiting for a slot does not use up the time limit.
func TestQueueDoesNotCount(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := New(1, 10*time.Second)
		slow := func(context.Context) (int, error) { time.Sleep(9 * time.Second); return 1, nil }
		var all sync.WaitGroup
		for i := range 5 {
			all.Go(func() {
				if _, err := Do(t.Context(), r, fmt.Sprint("image", i), slow); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
}

// TestInFlight: no more requests are in flight than there may be.
func TestInFlight(t *testing.T) {
	r := New(3, time.Minute)
	var now, most atomic.Int64
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			_, err := Do(t.Context(), r, fmt.Sprint(i), func(context.Context) (int, error) {
				n := now.Add(1)
				defer now.Add(-1)
				for {
					if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
						return 0, nil
					}
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most.Load() > 3 {
		t.Errorf("%d in flight", most.Load())
	}
}

// TestEndedContext: a caller that waits for a slot or an answer returns when
// its context ends.
func TestEndedContext(t *testing.T) {
	why := errors.New("interrupted")
	r := New(1, time.Minute)
	ctx, cancel := context.WithCancelCause(t.Context())
	errs := make(chan error, 2)
	for range 2 {
		go func() { _, err := Do(ctx, r, "image", never); errs <- err }()
	}
	cancel(why)
	for range 2 {
		if err := <-errs; !errors.Is(err, why) {
			t.Error(err)
		}
	}
}

// TestPending: what has been waited for longest is known.
func TestPending(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := New(2, time.Minute)
		if _, _, ok := r.Pending(); ok {
			t.Error("nothing is waited for")
		}
		wait := untilReleased(t)
		begun := time.Now()
		for _, name := range []string{"first", "second"} {
			go Do(t.Context(), r, name, wait)
			synctest.Wait()
			time.Sleep(time.Second)
		}
		if path, since, ok := r.Pending(); path != "first" || !since.Equal(begun) || !ok {
			t.Errorf("%q since %s, %v", path, since, ok)
		}
	})
}

// TestNothingIsBounded: without limits f is just called.
func TestNothingIsBounded(t *testing.T) {
	if n, err := Do(t.Context(), nil, "image", answers(3)); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// TestUnansweredError says how long, and from where.
func TestUnansweredError(t *testing.T) {
	text := (&UnansweredError{Path: "/a/b", Mount: "/a\n", After: 10 * time.Second}).Error()
	if text != `no answer within 10s from the file system at "/a\n"` || strings.Contains(text, "\n") {
		t.Error(text)
	}
}
