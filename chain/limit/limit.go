// Package limit keeps a run from waiting for ever for storage that does not answer.
//
//	requests := limit.New(limit.DefaultJobs, limit.DefaultTimeout)
//	info, err := limit.Do(ctx, requests, path, func(context.Context) (fs.FileInfo, error) { return os.Stat(path) })
//
// What touches a path, or asks a server, goes through [Do]: so many requests are in
// flight at the same time, and each has so much time to be answered. A call into the
// kernel cannot be taken back: one that hangs keeps its thread, and [Do] returns
// without it. [Share] is for what many may want at the same moment, [Each] for many paths
// at once, and [Row] for many requests one after the other, which it spares the handover
// to another goroutine.
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
	// DefaultJobs is how many requests are in flight at the same time where nobody
	// says otherwise.
	DefaultJobs = 64
	// DefaultTimeout is how long a request may take where nobody says otherwise.
	DefaultTimeout = 10 * time.Second
)

const (
	// silentAfter is how many requests a file system leaves unanswered before the
	// others for it no longer wait for their turn.
	silentAfter = 2
	// maxCrowd bounds the requests to file systems that do not answer, each of which
	// may keep a thread.
	maxCrowd = 1024
	// maxGone bounds the paths that are remembered to have had no answer.
	maxGone = 1 << 16
)

// UnansweredError says that storage did not answer in time.
type UnansweredError struct {
	Path  string // what was asked for, or what its server calls it
	Mount string // where its file system is mounted; "" if that is not known
	After time.Duration
}

// Error says how long there was no answer, and from which file system.
func (e *UnansweredError) Error() string {
	text := "no answer within " + e.After.String()
	if e.Mount != "" {
		text += " from the file system at " + strconv.Quote(e.Mount)
	}
	return text
}

// Requests bounds the requests of a run. Any number of goroutines may use it. A nil
// *Requests bounds nothing.
//
// Once a file system has left two requests unanswered, the others for it are made all
// at the same time, so that together they cost one more limit. They do not count as
// in flight: other file systems go on being asked. No path is asked for again that had
// no answer.
type Requests struct {
	timeout time.Duration
	slots   chan struct{} // one for each request in flight
	crowd   chan struct{} // one for each request to a file system that does not answer
	workers workers
	mounts  mounts

	anySilent atomic.Bool
	mu        sync.Mutex
	silent    map[string]int // by mount: how many requests had no answer
	gone      map[string]*UnansweredError
	pending   map[*request]struct{}
	watched   bool                // a call of watch is due
	shared    map[string]*request // by key
}

// New returns bounds of so many requests in flight, one at least, that may take so
// long each. A timeout of 0 or less is none.
func New(jobs int, timeout time.Duration) *Requests {
	return &Requests{timeout: timeout, slots: make(chan struct{}, max(jobs, 1)), crowd: make(chan struct{}, maxCrowd),
		workers: workers{idle: make(chan func())}, silent: make(map[string]int), gone: make(map[string]*UnansweredError),
		pending: make(map[*request]struct{}), shared: make(map[string]*request)}
}

// Jobs is how many requests are in flight at the same time; [DefaultJobs] where nothing
// is bounded.
func (r *Requests) Jobs() int {
	if r == nil {
		return DefaultJobs
	}
	return cap(r.slots)
}

// Do calls f, which asks for what is at path, once it is its turn, and returns what f
// returns. For what is no local file, path is how people call it.
//
// The error is an [*UnansweredError] if f takes longer than the limit, which counts
// from the call of f, or if path had no answer before; it is the cause of ctx once
// that has ended. In both cases f may go on meanwhile, and nobody sees what it returns.
func Do[T any](ctx context.Context, r *Requests, path string, f func(context.Context) (T, error)) (T, error) {
	if r == nil {
		return f(ctx)
	}
	q := newRequest(ctx, path)
	r.run(ctx, q, func() (any, error) { return f(ctx) })
	return answer[T](ctx, q)
}

// Each is [Do] for many paths, one after the other: f is called with the index of each,
// which has the limit for itself, until it returns an error.
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

// Share is [Do] for what many may want at the same moment: f is called once for all who
// ask by one key. The context that f gets does not end with that of any of them. Before
// anybody can ask by that key again, keep is called with the answer, or with the error
// that there was none in time.
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
			continue // it was never asked
		}
		return value, err
	}
}

// errLeft is why a request is not made: the context of the one who would have made it
// has ended.
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
	at   atomic.Pointer[string]     // the mount that path leads to, as far as it was followed
	key  string                     // of [Share]
	keep func(value any, err error) // may be nil
	row  *row                       // that the request is part of; nil if it is none's

	// These are of a request that was made.
	begun time.Time // under the lock of [Requests]
	free  func()    // called when it has ended for those who wait

	ended sync.Once
	done  chan struct{} // closed when the rest is there
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

// run makes a request when it is its turn. It does not wait for the answer.
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
	// Of which file system it is may itself never be answered.
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

// joinCrowd makes a request one of those to a file system that does not answer.
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

// ask lets a worker make a request, which may never end, and gives it up after the
// limit. free is called when it has ended for those who wait. What is part of a row is
// with a worker already.
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

// watch gives up the requests whose time is over. It is called when the time may be over
// of the one that was begun first: a timer for each would cost more than most requests.
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

// giveUp remembers that a request had no answer.
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

// unanswered returns the error of an earlier request for path that had no answer.
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

// Pending returns what has been waited for longest, and since when; ok is false while
// no request is in flight.
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
