package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel delivers a signal for the process to its first thread, if it can, and a
// thread that hangs in the kernel handles none. So the first thread, which is main's,
// only waits, and all work happens on others.
func init() { runtime.LockOSThread() }

const (
	// grace is how long the work may take to end after a signal.
	grace = 300 * time.Millisecond
	// echo is how long after a signal another one counts as the same: timeout(1)
	// sends its signal twice, to the process and to its group.
	echo = 100 * time.Millisecond
)

// interruption is the cause of a context that a signal has ended.
type interruption struct{ signal syscall.Signal }

func (i *interruption) Error() string { return "interrupted (" + unix.SignalName(i.signal) + ")" }

// interrupted returns the interruption that has ended ctx, nil if none has.
func interrupted(ctx context.Context) error {
	var i *interruption
	if errors.As(context.Cause(ctx), &i) {
		return i
	}
	return nil
}

// endingSignals returns a channel with the signals that end the program, except those
// that its parent wants ignored: nohup, or a shell without job control that runs it in
// the background.
func endingSignals() <-chan os.Signal {
	signals := make(chan os.Signal, 8)
	for _, s := range []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	return signals
}

// await waits for the status of the work. If a signal comes first, it calls cancel
// with the interruption, and returns once the work has ended, another signal has come
// or time is up; ended reports whether the work has ended.
func await(done <-chan int, signals <-chan os.Signal, cancel context.CancelCauseFunc, echo, grace time.Duration) (status int, i *interruption, ended bool) {
	select {
	case status = <-done:
		return status, nil, true
	case s := <-signals:
		i = &interruption{s.(syscall.Signal)}
		cancel(i)
	}
	begun, expired := time.Now(), time.After(grace)
	for {
		select {
		case status = <-done:
			return status, i, true
		case <-signals:
			if time.Since(begun) < echo {
				continue
			}
		case <-expired:
		}
		return 0, i, false
	}
}

// runWithin calls f, and returns when f returns or the limit is over: f may write to a
// stopped terminal.
func runWithin(limit time.Duration, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(limit):
	}
}

// dieOf ends the process by the signal itself, as if it were not handled, so that the
// parent sees the cause: a shell then ends its script, too.
func dieOf(s syscall.Signal) {
	if os.Getpid() != 1 { // which the kernel protects
		signal.Reset(s)
		// To this thread, which gets it before the call returns.
		unix.Tgkill(os.Getpid(), unix.Gettid(), s)
	}
	os.Exit(128 + int(s))
}
