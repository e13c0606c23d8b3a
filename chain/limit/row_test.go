package limit

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// TestRow: one request without an answer costs one limit, those before and after it are
// answered, and the call that waits for it is told to end.
func TestRow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := New(1, 10*time.Second)
		release := make(chan struct{})
		left := make(chan error, 1)
		var calls atomic.Int64
		begun := time.Now()
		sum, err := Row(t.Context(), r, func(ctx context.Context) (int, error) {
			first := calls.Add(1) == 1
			sum := 0
			for _, image := range []string{"a", "hangs", "b"} {
				n, err := Do(ctx, r, image, func(context.Context) (int, error) {
					if image == "hangs" {
						<-release
					}
					return 1, nil
				})
				var unanswered *UnansweredError
				if err != nil && (image != "hangs" || !errors.As(err, &unanswered)) {
					t.Errorf("%s: %v", image, err)
				}
				if first && image == "hangs" {
					left <- context.Cause(ctx)
					return 0, context.Cause(ctx)
				}
				sum += n
			}
			return sum, nil
		})
		if sum != 2 || err != nil || calls.Load() != 2 || time.Since(begun) != 10*time.Second {
			t.Errorf("%d, %v, %d calls in %s", sum, err, calls.Load(), time.Since(begun))
		}
		close(release)
		if err := <-left; !errors.Is(err, errRowLeft) {
			t.Errorf("the first call was told %v", err)
		}
	})
}

// TestRowsShare: what two rows want is asked for once.
func TestRowsShare(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := New(4, 10*time.Second)
		var asked atomic.Int64
		answers := make(chan int)
		for range 2 {
			go func() {
				n, err := Row(t.Context(), r, func(ctx context.Context) (int, error) {
					return Share(ctx, r, "image", "image", func(context.Context) (int, error) {
						time.Sleep(time.Second)
						return int(asked.Add(1)), nil
					}, func(int, error) {})
				})
				if err != nil {
					t.Error(err)
				}
				answers <- n
			}()
		}
		if a, b := <-answers, <-answers; a != 1 || b != 1 {
			t.Errorf("%d and %d", a, b)
		}
	})
}

// TestEndedRow: a row ends with its context, although a request hangs.
func TestEndedRow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := New(1, time.Hour)
		why := errors.New("interrupted")
		ctx, cancel := context.WithCancelCause(t.Context())
		hangs := untilReleased(t)
		time.AfterFunc(time.Second, func() { cancel(why) })
		_, err := Row(ctx, r, func(ctx context.Context) (int, error) { return Do(ctx, r, "image", hangs) })
		if !errors.Is(err, why) {
			t.Error(err)
		}
	})
}
