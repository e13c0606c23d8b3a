// Package limit keeps a run from waiting forever for storage that does not
// answer.
//
//	requests := limit.New(limit.DefaultJobs, limit.DefaultTimeout)
//	info, err := limit.Do(ctx, requests, path, func(context.Context) (fs.FileInfo, error) { return os.Stat(path) })
//
// Everything that touches a path, or contacts a server, goes through [Do],
// which limits the number of requests in flight and the time of each. A system
// call cannot be cancelled: one that hangs keeps its thread, and [Do] returns
// without it. [Share] is for a request that many callers may make at the same
// moment, [Each] for many paths in one call, and [Row] for many sequential
// requests, which then need no other goroutine.
package limit

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// DefaultJobs is the default number of requests in flight.
	DefaultJobs = 64
	// DefaultTimeout is the default time limit of a request.
	DefaultTimeout = 10 * time.Second
)

const (
	// silentAfter is the number of unanswered requests after which a file system
	// counts as silent: further requests to it do not wait for a slot.
	silentAfter = 2
	// maxCrowd bounds the requests to silent file systems, each of which may keep
	// a thread.
	maxCrowd = 1024
	// maxGone bounds the number of stored paths without an answer.
	maxGone = 1 << 16
)

// UnansweredError says that storage did not answer in time.
type UnansweredError struct {
	Path  string // the requested path, or the name of an image on a server
	Mount string // where its file system is mounted; "" if unknown
	After time.Duration
}

// Error says how long the request waited, and for which file system.
func (e *UnansweredError) Error() string {
	text := "no answer within " + e.After.String()
	if e.Mount != "" {
		text += " from the file system at " + strconv.Quote(e.Mount)
	}
	return text
}

// Requests limits the requests of a run. It is safe for concurrent use. A nil
// *Requests limits nothing.
//
// After two unanswered requests to a file system, all other requests to it are
// made at the same time, so together they wait for only one more time limit.
// They do not count as in flight, so requests to other file systems continue.
// A path without an answer is not requested again.
type Requests struct {
	timeout time.Duration
	slots   chan struct{} // one for each request in flight
	crowd   chan struct{} // one for each request to a file system that does not answer
	workers workers
	mounts  mounts

	anySilent atomic.Bool
	mu        sync.Mutex
	silent    map[string]int // by mount: the number of unanswered requests
	gone      map[string]*UnansweredError
	pending   map[*request]struct{}
	watched   bool                // a call of watch is due
	shared    map[string]*request // by key
}

// New returns Requests with at most jobs requests in flight (at least one) and
// this time limit for each. A timeout of 0 or less means no limit.
func New(jobs int, timeout time.Duration) *Requests {
	return &Requests{timeout: timeout, slots: make(chan struct{}, max(jobs, 1)), crowd: make(chan struct{}, maxCrowd),
		workers: workers{idle: make(chan func())}, silent: make(map[string]int), gone: make(map[string]*UnansweredError),
		pending: make(map[*request]struct{}), shared: make(map[string]*request)}
}

// Jobs returns the maximum number of requests in flight; [DefaultJobs] for a
// nil *Requests.
func (r *Requests) Jobs() int {
	if r == nil {
		return DefaultJobs
	}
	return cap(r.slots)
}

// Do waits for a free slot, calls f, which makes the request for path, and
// returns its result. For an image that is not a local file, path is its name
// in messages.
//
// The error is an [*UnansweredError] if f takes longer than the limit,
// measured from the call of f, or if an earlier request for path was not
// answered; it is the cause of ctx after that has ended. In both cases f may
// still run, and its result is dropped.
func Do[T any](ctx context.Context, r *Requests, path string, f func(context.Context) (T, error)) (T, error) {
	if r == nil {
		return f(ctx)
	}
	q := newRequest(ctx, path)
	r.run(ctx, q, func() (any, error) { return f(ctx) })
	return answer[T](ctx, q)
}

// Each is [Do] for many paths, one after the other: it calls f with the index
// of each, with a separate time limit for each, until f returns an error.
func Each(ctx context.Context, r *Requests, paths []string, f func(context.Context, int) error) error {
	if len(paths) == 0 {
		return nil
	}
	all := func(next func(path string) error) (any, error) {
		for i, path := range paths {
			if i > 0 {
				if err := next(path); err != nil {
					return nil, err
				}
			}
			if err := f(ctx, i); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}
	if r == nil {
		_, err := all(func(string) error { return ctx.Err() })
		return err
	}
	q := newRequest(ctx, paths[0])
	r.run(ctx, q, func() (any, error) {
		return all(func(path string) error {
			if err := r.unanswered(path); err != nil {
				return err
			}
			q.path.Store(&path)
			r.mu.Lock()
			q.begun = time.Now()
			r.mu.Unlock()
			r.mounts.follow(q)
			return nil
		})
	})
	_, err := answer[any](ctx, q)
	return err
}

// Share is [Do] for concurrent callers with the same request: f is called once
// for all that use the same key. The context of f does not end with that of
// any caller. Before the next request with that key, keep is called with the
// result, or with the error that it was not answered in time.
func Share[T any](ctx context.Context, r *Requests, key, path string, f func(context.Context) (T, error), keep func(T, error)) (T, error) {
	for {
		r.mu.Lock()
		q, ok := r.shared[key]
		if !ok {
			q = newRequest(ctx, path)
			q.key = key
			q.keep = func(value any, err error) {
				answer, _ := value.(T)
				keep(answer, err)
			}
			r.shared[key] = q
		}
		r.mu.Unlock()
		if !ok {
			r.run(ctx, q, func() (any, error) { return f(context.WithoutCancel(ctx)) })
		}
		value, err := answer[T](ctx, q)
		if ok && errors.Is(err, errLeft) {
			continue // the request was never made
		}
		return value, err
	}
}

// errLeft says why a shared request was not made: the context of the caller
// that would have made it has ended.
var errLeft = errors.New("the context ended before the request")

// answer waits for the end of a request, or of ctx.
func answer[T any](ctx context.Context, q *request) (value T, err error) {
	select {
	case <-q.done:
	case <-ctx.Done():
		select {
		case <-q.done:
		default:
			return value, context.Cause(ctx)
		}
	}
	value, _ = q.value.(T)
	if errors.Is(q.err, errLeft) && ctx.Err() != nil {
		return value, context.Cause(ctx)
	}
	return value, q.err
}

// request is one call of [Do] or [Each], or several of [Share].
type request struct {
	path atomic.Pointer[string]
	at   atomic.Pointer[string]     // the mount of path, as far as it was followed
	key  string                     // of [Share]
	keep func(value any, err error) // may be nil
	row  *row                       // nil if the request is not part of a row

	// Valid after the request was made.
	begun time.Time // under the lock of [Requests]
	free  func()    // called when it has ended for those who wait

	ended sync.Once
	done  chan struct{} // closed when the result is valid
	value any
	err   error
}

func newRequest(ctx context.Context, path string) *request {
	q := &request{row: rowOf(ctx), done: make(chan struct{})}
	q.path.Store(&path)
	return q
}

func (q *request) mount() string {
	if at := q.at.Load(); at != nil {
		return *at
	}
	return ""
}

// run makes a request as soon as a slot is free. It does not wait for the
// answer.
func (r *Requests) run(ctx context.Context, q *request, f func() (any, error)) {
	if err := r.unanswered(*q.path.Load()); err != nil {
		r.end(q, nil, failed(err))
		return
	}
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		r.end(q, nil, failed(errLeft))
		return
	}
	free := sync.OnceFunc(func() { <-r.slots })
	if !r.anySilent.Load() {
		r.ask(q, free, func() (any, error) { r.mounts.follow(q); return f() })
		return
	}
	// Finding its file system may hang as well.
	where := newRequest(context.Background(), *q.path.Load())
	r.ask(where, func() {}, func() (any, error) { r.mounts.follow(where); return nil, nil })
	select {
	case <-where.done:
	case <-ctx.Done():
		r.end(q, free, failed(errLeft))
		return
	}
	q.at.Store(where.at.Load())
	switch {
	case where.err != nil:
		r.end(q, free, failed(where.err))
	case r.isSilent(q.mount()):
		free()
		r.joinCrowd(ctx, q, f)
	default:
		r.ask(q, free, f)
	}
}

// joinCrowd makes a request to a silent file system.
func (r *Requests) joinCrowd(ctx context.Context, q *request, f func() (any, error)) {
	timer := time.NewTimer(r.timeout)
	defer timer.Stop()
	select {
	case r.crowd <- struct{}{}:
		r.ask(q, nil, func() (any, error) {
			defer func() { <-r.crowd }()
			return f()
		})
	case <-ctx.Done():
		r.end(q, nil, failed(errLeft))
	case <-timer.C:
		r.end(q, nil, func() (any, error) { return nil, r.giveUp(q) })
	}
}

// ask lets a worker make a request, which may never end, and gives up on it
// after the time limit. free is called when the callers stop waiting for it. A
// request of a row already runs in a worker.
func (r *Requests) ask(q *request, free func(), f func() (any, error)) {
	r.mu.Lock()
	q.begun, q.free = time.Now(), free
	r.pending[q] = struct{}{}
	if r.timeout > 0 && !r.watched {
		r.watched = true
		time.AfterFunc(r.timeout, r.watch)
	}
	r.mu.Unlock()
	work := func() {
		value, err := f()
		r.end(q, free, func() (any, error) { return value, err })
	}
	if q.row != nil {
		work()
	} else {
		r.workers.do(work)
	}
}

// watch gives up on the requests that have exceeded their time limit. One
// timer, for the oldest request, calls it: a timer for each would cost more
// than most requests.
func (r *Requests) watch() {
	var over []*request
	var next time.Duration
	r.mu.Lock()
	for q := range r.pending {
		if left := r.timeout - time.Since(q.begun); left <= 0 {
			over = append(over, q)
		} else if next == 0 || left < next {
			next = left
		}
	}
	if r.watched = next > 0; r.watched {
		time.AfterFunc(next, r.watch)
	}
	r.mu.Unlock()
	for _, q := range over {
		r.end(q, q.free, func() (any, error) { return nil, r.giveUp(q) })
		q.row.leave()
	}
}

func failed(err error) func() (any, error) { return func() (any, error) { return nil, err } }

// end ends a request, the first time that it is called.
func (r *Requests) end(q *request, free func(), outcome func() (any, error)) {
	q.ended.Do(func() {
		q.value, q.err = outcome()
		if q.keep != nil && q.err != errLeft {
			q.keep(q.value, q.err)
		}
		r.mu.Lock()
		delete(r.pending, q)
		if q.key != "" {
			delete(r.shared, q.key)
		}
		r.mu.Unlock()
		if free != nil {
			free()
		}
		close(q.done)
	})
}

// giveUp records that a request was not answered.
func (r *Requests) giveUp(q *request) error {
	err := &UnansweredError{Path: *q.path.Load(), Mount: q.mount(), After: r.timeout}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.gone) < maxGone {
		r.gone[err.Path] = err
	}
	if r.silent[err.Mount]++; r.silent[err.Mount] == silentAfter {
		r.anySilent.Store(true)
	}
	return err
}

// unanswered returns the error of an earlier unanswered request for path.
func (r *Requests) unanswered(path string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err, ok := r.gone[path]; ok {
		return err
	}
	return nil
}

func (r *Requests) isSilent(mount string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.silent[mount] >= silentAfter
}

// Pending returns the path of the oldest request in flight, and its start; ok
// is false if no request is in flight.
func (r *Requests) Pending() (path string, since time.Time, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for q := range r.pending {
		if !ok || q.begun.Before(since) {
			path, since, ok = *q.path.Load(), q.begun, true
		}
	}
	return path, since, ok
}
