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
	// redraw is the shortest time between changes of the progress line.
	redraw = 200 * time.Millisecond
	// tellAfter is how long an image may keep the run waiting before the line names it.
	tellAfter = time.Second
	// clearLine goes to the first column and erases what is in the line (ECMA-48, EL).
	clearLine = "\r\x1b[K"
)

// terminal is a standard error that is a terminal. It can show a line below its own
// output and that of standard output, and erases it before anything else is written.
type terminal struct {
	file *os.File

	mu      sync.Mutex
	shown   string // the line; "" for none
	midLine bool   // the last output did not end its line
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

// onTerminal returns the streams with a terminal as standard error, if it is one of a
// kind ($TERM) that can erase a line.
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

// aboveLine is another stream to the same terminal.
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

// show replaces the shown line. It leaves a line alone that other output has begun.
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

// columns returns how many columns the line may have. It leaves room for the ^C that
// the terminal may print after it, and for one more, because some terminals wrap
// after the last column.
func (t *terminal) columns() int {
	width, _, err := term.GetSize(int(t.file.Fd()))
	if err != nil || width == 0 {
		width = 80
	}
	return max(width-len("^C")-1, 0)
}

// progress shows on a terminal how far a run is, and which image it waits for. A nil
// *progress is silent.
type progress struct {
	terminal *terminal
	requests *limit.Requests
	stop     context.CancelFunc
	ended    chan struct{}

	mu   sync.Mutex
	text string
}

// startProgress shows progress until end is called or ctx ends. It returns nil if
// standard error is not a terminal.
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

// end erases the line.
func (p *progress) end() {
	if p != nil {
		p.stop()
		<-p.ended
	}
}

// say sets the text. It must be printable ASCII.
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

// progressLine returns a text and the image that is waited for ("" for none), in
// at most so many columns. Every byte takes one column.
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

// leastName is how much of a name is always shown, in bytes.
const leastName = 16

// shortened drops the beginning of a quoted name if it does not fit: names of images
// differ at their ends.
func shortened(quoted string, columns int) string {
	const left = `"...`
	if columns = max(columns, leastName); len(quoted) <= columns {
		return quoted
	}
	return left + quoted[len(quoted)-columns+len(left):]
}
