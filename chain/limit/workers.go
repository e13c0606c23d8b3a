package limit

import "time"

// workers are goroutines that make requests. One that has made one waits a moment for
// the next, since a new goroutine has a small stack, which to grow takes longer than
// most requests; one that hangs is replaced.
type workers struct{ idle chan func() }

// idleTime is how long a worker waits for something to do.
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
		f = nil // what it holds may go
		timer.Reset(idleTime)
		select {
		case f = <-w.idle:
		case <-timer.C:
			return
		}
	}
}
