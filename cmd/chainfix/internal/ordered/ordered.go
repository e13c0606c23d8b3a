// Package ordered works on many items at the same time and hands over what comes out
// in the order of the items.
//
//	for result := range ordered.Map(ctx, ordered.Bounds{AtOnce: 8, Items: 64, Bytes: 1 << 20}, slices.Values(names), examine) {
//		fmt.Println(result)
//	}
package ordered

import (
	"context"
	"iter"
	"sync"
	"time"
)

// Bounds say how much may be under way at the same time: being worked on, or waiting
// for those in front.
type Bounds struct {
	// AtOnce is how many items are under way, one at least. One that has been so for a
	// second does not count any more: it waits for storage, or for an item in front
	// that does, and those behind may need other storage, or none.
	AtOnce int
	Items  int   // at most, with those that do not count any more; one at least
	Bytes  int64 // that the items have taken together ([Take]), unless the first one has more
}

// slow is how long an item counts.
const slow = time.Second

// Take waits until there is room for so many bytes. The item that is next in the order
// always gets them. The error is the cause of the context that do has.
type Take func(bytes int64) error

// Map calls do with each item, in goroutines of its own, and yields what it returns, in
// the order of the items. No more items are asked for once ctx has ended; do has to
// return then. When the loop is left, the context that do has ends, and Map waits for
// those that are under way.
func Map[T, R any](ctx context.Context, bounds Bounds, items iter.Seq[T], do func(context.Context, Take, T) R) iter.Seq[R] {
	return func(yield func(R) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var all sync.WaitGroup
		defer all.Wait()
		defer cancel()
		type job struct {
			result R
			taken  int64
			leave  func()      // the item does not count any more
			counts *time.Timer // until then it does
			done   chan struct{}
		}
		waiting := make(chan *job, max(bounds.Items, 1)-1)
		working := make(chan struct{}, max(bounds.AtOnce, 1))
		r := &room{free: bounds.Bytes, changed: make(chan struct{})}
		all.Go(func() {
			defer close(waiting)
			n := 0
			for item := range items {
				select {
				case working <- struct{}{}:
				case <-ctx.Done():
					return
				}
				j, index := &job{leave: sync.OnceFunc(func() { <-working }), done: make(chan struct{})}, n
				n++
				j.counts = time.AfterFunc(slow, j.leave)
				take := func(bytes int64) error {
					j.taken += bytes
					return r.take(ctx, index, bytes)
				}
				all.Go(func() {
					defer close(j.done)
					j.result = do(ctx, take, item)
				})
				select {
				case waiting <- j:
				case <-ctx.Done():
					return
				}
			}
		})
		for j := range waiting {
			<-j.done
			if !yield(j.result) {
				return
			}
			j.counts.Stop()
			j.leave()
			r.next(j.taken)
		}
	}
}

// room is what is left of [Bounds.Bytes].
type room struct {
	mu      sync.Mutex
	free    int64 // less than 0 where the first item has more than there was
	first   int   // the item that is next in the order
	changed chan struct{}
}

func (r *room) take(ctx context.Context, item int, bytes int64) error {
	for {
		r.mu.Lock()
		changed, ok := r.changed, item == r.first || bytes <= r.free
		if ok {
			r.free -= bytes
		}
		r.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// next gives back what the first item had.
func (r *room) next(bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free += bytes
	r.first++
	close(r.changed)
	r.changed = make(chan struct{})
}
