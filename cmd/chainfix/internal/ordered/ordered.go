// Package ordered processes many items concurrently and yields the results in
// the order of the items.
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

// Bounds limit the items that are in progress: being processed, or waiting for
// those before them.
type Bounds struct {
	// AtOnce is the number of items in progress, at least one. After a second an
	// item no longer counts: it waits for storage, or for an earlier item that
	// does, and later items may need other storage, or none.
	AtOnce int
	Items  int   // maximum, including those that no longer count; at least one
	Bytes  int64 // maximum that all items have taken together ([Take]), unless the first one has more
}

// slow is how long an item counts for AtOnce.
const slow = time.Second

// Take waits until so many bytes are free. The next item in the order always
// gets them. The error is the cause of do's context.
type Take func(bytes int64) error

// Map calls do with each item, in its own goroutines, and yields the results
// in the order of the items. After ctx has ended it takes no more items; do
// has to return then. When the loop is left, do's context ends, and Map waits
// for the items in progress.
func Map[T, R any](ctx context.Context, bounds Bounds, items iter.Seq[T], do func(context.Context, Take, T) R) iter.Seq[R] {
	return func(yield func(R) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var all sync.WaitGroup
		defer all.Wait()
		defer cancel()
		type job struct {
			result R
			taken  int64
			leave  func()      // the item no longer counts
			counts *time.Timer // calls leave
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

// room is the free part of [Bounds.Bytes].
type room struct {
	mu      sync.Mutex
	free    int64 // less than 0 if the first item has more than the bound
	first   int   // the next item in the order
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

// next frees the bytes of the first item.
func (r *room) next(bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free += bytes
	r.first++
	close(r.changed)
	r.changed = make(chan struct{})
}
