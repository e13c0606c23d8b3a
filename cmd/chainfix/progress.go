package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/chainfix/chainfix/chain/limit"
)

const (
	// redraw is how often the line of progress may change.
	redraw = 200 * time.Millisecond
	// tellAfter is how long an image may keep the run waiting before the line names it.
	tellAfter = time.Second
	// clearLine goes to the first column and erases what is in the line (ECMA-48, EL).
	clearLine = "\r\x1b[K"
)

// terminal is a standard error that is one. Below what is written to it, and to standard
// output, it can show a line, which is gone before anything else is written.
type terminal struct {
	file *os.File

	mu      sync.Mutex
	shown   string // the line; "" for none
	midLine bool   // what was written last did not end its line
}

// isTerminal reports whether a standard stream is one.
func isTerminal(stream any) bool {
	switch s := stream.(type) {
	case *output:
		return isTerminal(s.w)
	case *os.File:
		return term.IsTerminal(int(s.Fd()))
	case *terminal, aboveLine:
		return true
	}
	return false
}

// onTerminal returns the streams with a terminal for a standard error that is one of a
// kind, as in $TERM, that knows how to erase a line.
func onTerminal(std streams, kind string) streams {
	if kind == "" || kind == "dumb" || !isTerminal(std.err) {
		return std
	}
	t := &terminal{file: std.err.(*os.File)}
	std.err = t
	if isTerminal(std.out) {
		std.out = aboveLine{t, std.out}
	}
	return std
}

// aboveLine is a stream that goes to the same terminal.
type aboveLine struct {
	t *terminal
	w io.Writer
}

// Write implements [io.Writer].
func (a aboveLine) Write(p []byte) (int, error) { return a.t.writeTo(a.w, p) }

// Write implements [io.Writer].
func (t *terminal) Write(p []byte) (int, error) { return t.writeTo(t.file, p) }

func (t *terminal) writeTo(w io.Writer, p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.draw("")
	n, err := w.Write(p)
	if n > 0 {
		t.midLine = p[n-1] != '\n'
	}
	return n, err
}

// show puts a line in the place of the one that is shown. Of a line that others have
// begun nothing is taken away.
func (t *terminal) show(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.midLine {
		t.draw(line)
	}
}

func (t *terminal) draw(line string) {
	if line != t.shown {
		io.WriteString(t.file, clearLine+line)
		t.shown = line
	}
}

// columns is how many columns a line may have, with room for the ^C that the terminal
// puts after it, and one more: in the last one some go on to the next line.
func (t *terminal) columns() int {
	width, _, err := term.GetSize(int(t.file.Fd()))
	if err != nil || width == 0 {
		width = 80
	}
	return max(width-len("^C")-1, 0)
}

// progress shows on a terminal how far a run has come, and which image it waits for. A
// nil *progress is silent.
type progress struct {
	terminal *terminal
	requests *limit.Requests
	stop     context.CancelFunc
	ended    chan struct{}

	mu   sync.Mutex
	text string
}

// startProgress shows progress until its end, or that of ctx. It is nil where standard
// error is no terminal.
func startProgress(ctx context.Context, std streams, requests *limit.Requests) *progress {
	t, ok := std.err.(*terminal)
	if !ok {
		return nil
	}
	p := &progress{terminal: t, requests: requests, ended: make(chan struct{})}
	ctx, p.stop = context.WithCancel(ctx)
	go p.run(ctx)
	return p
}

func (p *progress) run(ctx context.Context) {
	defer close(p.ended)
	defer p.terminal.show("")
	ticker := time.NewTicker(redraw)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			path, since, _ := p.requests.Pending()
			p.terminal.show(progressLine(p.said(), path, now.Sub(since), p.terminal.columns()))
		}
	}
}

// end takes the line away.
func (p *progress) end() {
	if p != nil {
		p.stop()
		<-p.ended
	}
}

// say says how far the run has come. The text is printable ASCII.
func (p *progress) say(format string, args ...any) {
	if p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.text = fmt.Sprintf(format, args...)
	}
}

func (p *progress) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text
}

// progressLine is a text and the image that is waited for, "" for none, in so many
// columns at most. Every byte of it takes one.
func progressLine(text, waiting string, waited time.Duration, columns int) string {
	if waiting != "" && waited >= tellAfter {
		if text != "" {
			text += "; "
		}
		text += "waiting for "
		after := fmt.Sprintf(" (%d s)", waited/time.Second)
		text += shortened(strconv.QuoteToASCII(waiting), columns-len(text)-len(after)) + after
	}
	return text[:min(len(text), columns)]
}

// leastName is how much of a name is shown in any case, in bytes.
const leastName = 16

// shortened leaves the beginning of a quoted name out where it does not fit: names of
// images differ at their ends.
func shortened(quoted string, columns int) string {
	const left = `"...`
	if columns = max(columns, leastName); len(quoted) <= columns {
		return quoted
	}
	return left + quoted[len(quoted)-columns+len(left):]
}
