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

// WithoutRow returns a context like ctx that does not end with it, and with which requests
// are part of no row: for what is found out once, while others wait for it.
func WithoutRow(ctx context.Context) context.Context {
	return context.WithValue(context.WithoutCancel(ctx), rowKey{}, (*row)(nil))
}

// errRowLeft is why the context of a row ends that waits for a request without an answer.
var errRowLeft = errors.New("a request of the row had no answer")

// leave ends a row whose worker does not come back. Of no row, it does nothing.
func (q *row) leave() {
	if q != nil {
		q.cancel(errRowLeft)
	}
}

// Row calls f, which makes many requests one after the other, and returns what f returns.
// The requests with the context that f gets are made in the goroutine of f: to hand over
// each to a worker takes longer than most of them.
//
// If one of them has no answer in time, f is called again, and its requests are made by
// workers. The first call may go on meanwhile, with a context that has ended, and nobody
// sees what it returns: f must not change anything but what it returns, nor hold what
// others wait for while it makes a request; see [WithoutRow].
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
