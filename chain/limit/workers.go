package limit

import "time"

// workers are goroutines that make requests. A worker waits a moment for its
// next request, since growing the small stack of a new goroutine takes longer
// than most requests; a worker that hangs is replaced.
type workers struct{ idle chan func() }

// idleTime is how long a worker waits for a request.
const idleTime = 100 * time.Millisecond

// do lets a worker call f.
func (w *workers) do(f func()) {
	select {
	case w.idle <- f:
	default:
		go w.work(f)
	}
}

func (w *workers) work(f func()) {
	timer := time.NewTimer(idleTime)
	defer timer.Stop()
	for {
		f()
		f = nil // free what it refers to
		timer.Reset(idleTime)
		select {
		case f = <-w.idle:
		case <-timer.C:
			return
		}
	}
}
