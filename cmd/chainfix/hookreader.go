package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A request to storage may hang in the kernel forever, and then its process does not end
// either, even if killed. libvirt waits for its hook to end. So the process that libvirt
// started never reads storage: it starts itself again as a reader, which inherits no
// descriptor from libvirt, and waits for the reader's answer, not for its end.

// readerVariable is the environment variable that gives a reader the id of the call.
const readerVariable = "CHAINFIX_HOOK_READER"

// answerFD is where a reader writes its exit status, as a byte, after everything else.
const answerFD = 3

type apartKey struct{}

// readingApart returns a context in which a hook reads in another process.
func readingApart(ctx context.Context) context.Context {
	if os.Getenv(readerVariable) != "" {
		return ctx
	}
	return context.WithValue(ctx, apartKey{}, true)
}

// answer passes the exit status of a reader to its hook.
func answer(status int) {
	if os.Getenv(readerVariable) != "" {
		os.NewFile(answerFD, "answer").Write([]byte{byte(status)})
	}
}

// timeUpError says that the hook's time is up.
type timeUpError struct{ after time.Duration }

func (e timeUpError) Error() string { return "no answer within " + e.after.String() }

// apart runs the hook in a reader and passes on its output. words are the command line
// from "hook" on.
func (h *hookRun) apart(ctx context.Context, words []string) error {
	data, err := reader{stdin: h.std.in}.read(ctx, inputOf("-"))
	if err != nil {
		return h.conclude(ctx, nil, inputError(err))
	}
	r, err := startReader(words, h.journal.id)
	if err != nil {
		return h.conclude(ctx, nil, fmt.Errorf("cannot start the reading process: %w", err))
	}
	// The reader's own limit is shorter. If it still does not answer, it hangs elsewhere,
	// such as in the log.
	said, err := r.ask(ctx, data, h.timeout)
	if err != nil {
		h.journal.path = "" // which may be what hangs
		return h.conclude(ctx, nil, err)
	}
	h.std.err.Write(said.complaints)
	if len(said.out) > 0 {
		if err := write(h.std.out, said.out); err != nil {
			return err
		}
	}
	return ended(said.status)
}

// said is the answer of a reader.
type said struct {
	out, complaints []byte
	status          int
}

type hookReader struct {
	process                      *os.Process
	in, out, complaints, answers *os.File
}

func startReader(words []string, id string) (r *hookReader, err error) {
	// Descriptors that the script has open are not inherited (Linux 5.11).
	unix.CloseRange(answerFD, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC)
	r = &hookReader{}
	theirs := make([]*os.File, answerFD+1)
	pipes := []error{}
	pipe := func(from, to **os.File) {
		var err error
		*from, *to, err = os.Pipe()
		pipes = append(pipes, err)
	}
	pipe(&theirs[0], &r.in)
	pipe(&r.out, &theirs[1])
	pipe(&r.complaints, &theirs[2])
	pipe(&r.answers, &theirs[answerFD])
	if err := errors.Join(pipes...); err != nil {
		return nil, err
	}
	r.process, err = os.StartProcess("/proc/self/exe", slices.Concat(os.Args[:1], words), &os.ProcAttr{
		Env: append(os.Environ(), readerVariable+"="+id), Files: theirs})
	for _, f := range theirs {
		f.Close()
	}
	return r, err
}

// ask sends the XML to the reader and returns its answer, within the limit.
func (r *hookReader) ask(ctx context.Context, data []byte, limit time.Duration) (said, error) {
	go func() {
		r.in.Write(data) // the reader may not need it
		r.in.Close()
	}()
	type result struct {
		said
		err error
	}
	all := make(chan result, 1)
	go func() {
		var h result
		complaints := make(chan []byte, 1)
		go func() {
			text, _ := io.ReadAll(r.complaints)
			complaints <- text
		}()
		h.out, h.err = io.ReadAll(r.out)
		h.complaints = <-complaints
		status := make([]byte, 1)
		if _, err := io.ReadFull(r.answers, status); err != nil {
			h.err = cmp.Or(h.err, fmt.Errorf("the reading process ended without an answer: %.200q", h.complaints))
		}
		h.status = int(status[0])
		all <- h
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case h := <-all:
		return h.said, h.err
	case <-timer.C:
		r.process.Kill() // it may not care
		return said{}, timeUpError{limit}
	case <-ctx.Done():
		r.process.Kill()
		return said{}, context.Cause(ctx)
	}
}
