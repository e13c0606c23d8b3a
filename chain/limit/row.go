package limit

import (
	"context"
	"errors"
)

// row is the requests of one call of [Row].
type row struct{ cancel context.CancelCauseFunc }

type rowKey struct{}

// rowOf returns the row that requests with ctx are part of, or nil.
func rowOf(ctx context.Context) *row {
	q, _ := ctx.Value(rowKey{}).(*row)
	return q
}

// WithoutRow returns a context like ctx that does not end with ctx, and with
// which requests are not part of a row: for results that are computed once
// while others wait for them.
func WithoutRow(ctx context.Context) context.Context {
	return context.WithValue(context.WithoutCancel(ctx), rowKey{}, (*row)(nil))
}

// errRowLeft is the cause of a row's context after one of its requests was not
// answered.
var errRowLeft = errors.New("a request of the row had no answer")

// leave ends a row whose worker hangs. It does nothing if q is nil.
func (q *row) leave() {
	if q != nil {
		q.cancel(errRowLeft)
	}
}

// Row calls f, which makes many sequential requests, and returns its result.
// Requests with the context that f gets run in the goroutine of f: passing
// each to a worker takes longer than most of them.
//
// If one of them is not answered in time, f is called again, and workers make
// its requests. The first call may still run, with a context that has ended,
// and its result is dropped: f must not change anything but its result, nor
// hold a lock that others wait for while it makes a request; see [WithoutRow].
func Row[T any](ctx context.Context, r *Requests, f func(context.Context) (T, error)) (T, error) {
	if r == nil || rowOf(ctx) != nil {
		return f(ctx)
	}
	inRow, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	r.workers.do(func() {
		value, err := f(context.WithValue(inRow, rowKey{}, &row{cancel}))
		done <- outcome{value, err}
	})
	select {
	case o := <-done:
		if context.Cause(inRow) == nil {
			return o.value, o.err
		}
	case <-inRow.Done():
	}
	if err := context.Cause(ctx); err != nil {
		var none T
		return none, err
	}
	return f(ctx)
}
