// Package limit keeps a run from waiting for ever for storage that does not answer.
//
//	requests := limit.New(limit.DefaultJobs, limit.DefaultTimeout)
//	info, err := limit.Do(ctx, requests, path, func(context.Context) (fs.FileInfo, error) { return os.Stat(path) })
//
// What touches a path, or asks a server, goes through [Do]: so many requests are in
// flight at the same time, and each has so much time to be answered. A call into the
// kernel cannot be taken back: one that hangs keeps its thread, and [Do] returns
// without it.
package limit

import (
	"context"
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
	mounts  mounts

	anySilent atomic.Bool
	mu        sync.Mutex
	silent    map[string]int // by mount: how many requests had no answer
	gone      map[string]*UnansweredError
	pending   map[*request]struct{}
}

// New returns bounds of so many requests in flight, one at least, that may take so
// long each. A timeout of 0 or less is none.
func New(jobs int, timeout time.Duration) *Requests {
	return &Requests{timeout: timeout, slots: make(chan struct{}, max(jobs, 1)), crowd: make(chan struct{}, maxCrowd),
		silent: make(map[string]int), gone: make(map[string]*UnansweredError), pending: make(map[*request]struct{})}
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
	var none T
	if err := r.unanswered(path); err != nil {
		return none, err
	}
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
	free := sync.OnceFunc(func() { <-r.slots })
	defer free()
	q := &request{path: path}
	if r.anySilent.Load() {
		_, err := answer(ctx, r, q, func(context.Context) (struct{}, error) { return struct{}{}, nil })
		if err != nil {
			return none, err
		}
		if r.isSilent(q.mount()) {
			free()
			if err := r.joinCrowd(ctx, q); err != nil {
				return none, err
			}
		}
	}
	return answer(ctx, r, q, f)
}

// request is one call of [Do].
type request struct {
	path    string
	begun   time.Time
	at      atomic.Pointer[string] // the mount that path leads to, as far as it was followed
	inCrowd bool
}

func (q *request) mount() string {
	if at := q.at.Load(); at != nil {
		return *at
	}
	return ""
}

// answer calls f in a goroutine of its own, which may never end, and waits for its
// answer as long as the limit allows.
func answer[T any](ctx context.Context, r *Requests, q *request, f func(context.Context) (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	var expired <-chan time.Time
	if r.timeout > 0 {
		timer := time.NewTimer(r.timeout)
		defer timer.Stop()
		expired = timer.C
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
	}
	r.begin(q)
	defer r.end(q)
	go func() {
		if q.inCrowd {
			defer func() { <-r.crowd }()
		}
		r.mounts.follow(q)
		value, err := f(ctx)
		done <- outcome{value, err}
	}()
	var none T
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	case <-expired:
		return none, r.giveUp(q)
	}
}

// joinCrowd makes a request one of those to a file system that does not answer.
func (r *Requests) joinCrowd(ctx context.Context, q *request) error {
	timer := time.NewTimer(r.timeout)
	defer timer.Stop()
	select {
	case r.crowd <- struct{}{}:
		q.inCrowd = true
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return r.giveUp(q)
	}
}

// giveUp remembers that a request had no answer.
func (r *Requests) giveUp(q *request) error {
	err := &UnansweredError{Path: q.path, Mount: q.mount(), After: r.timeout}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.gone) < maxGone {
		r.gone[q.path] = err
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

func (r *Requests) begin(q *request) {
	q.begun = time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending[q] = struct{}{}
}

func (r *Requests) end(q *request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.pending, q)
}

// Pending returns what has been waited for longest, and since when; ok is false while
// no request is in flight.
func (r *Requests) Pending() (path string, since time.Time, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for q := range r.pending {
		if !ok || q.begun.Before(since) {
			path, since, ok = q.path, q.begun, true
		}
	}
	return path, since, ok
}
