package peers

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// BrowserVariable names the browser that renders pages. Only .ci/browser sets
// it, because a browser needs more than all other peers together.
const BrowserVariable = "CHAINFIX_BROWSER"

// Browser is a headless Chromium with one tab, controlled by the DevTools
// protocol on two pipes: each message is a JSON document that ends with a zero
// byte.
type Browser struct {
	t        testing.TB
	requests *os.File
	session  string

	mu       sync.Mutex
	next     int
	waiting  map[int]chan reply
	loaded   chan struct{}
	problems []string
}

type reply struct {
	ID     int
	Result json.RawMessage
	Error  *struct{ Message string }
	Method string
	Params json.RawMessage
}

// StartBrowser starts the browser that the environment names. It ends with the test.
func StartBrowser(t testing.TB) *Browser {
	t.Helper()
	program := os.Getenv(BrowserVariable)
	if program == "" {
		t.Skip(BrowserVariable + " names no browser: .ci/browser does")
	}
	Require(t, program)
	theirs, requests, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	replies, answers, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
		"--disable-background-networking", "--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{theirs, answers} // descriptors 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	answers.Close()
	b := &Browser{t: t, requests: requests, waiting: make(map[int]chan reply), loaded: make(chan struct{}, 1)}
	go b.read(replies)
	t.Cleanup(func() {
		b.Call("Browser.close", nil, nil)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the browser: %v", err)
		}
	})
	var target struct{ TargetID string }
	b.Call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.Call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.Call(domain+".enable", nil, nil)
	}
	b.Call("Performance.enable", map[string]any{"timeDomain": "threadTicks"}, nil)
	return b
}

// read reads the browser's messages until it ends.
func (b *Browser) read(replies *os.File) {
	messages := bufio.NewReader(replies)
	for {
		message, err := messages.ReadBytes(0)
		if err != nil {
			return
		}
		var r reply
		if json.Unmarshal(message[:len(message)-1], &r) != nil {
			continue
		}
		b.mu.Lock()
		switch {
		case b.waiting[r.ID] != nil:
			b.waiting[r.ID] <- r
			delete(b.waiting, r.ID)
		case r.Method == "Page.loadEventFired":
			select {
			case b.loaded <- struct{}{}:
			default:
			}
		case r.Method == "Log.entryAdded", r.Method == "Runtime.consoleAPICalled", r.Method == "Runtime.exceptionThrown":
			b.problems = append(b.problems, r.Method+": "+string(r.Params))
		case r.Method == "Network.requestWillBeSent":
			b.problems = append(b.problems, "request: "+string(r.Params))
		}
		b.mu.Unlock()
	}
}

// Call calls a method of the protocol. The result may be nil.
func (b *Browser) Call(method string, params map[string]any, result any) {
	b.t.Helper()
	b.mu.Lock()
	b.next++
	id, answer := b.next, make(chan reply, 1)
	b.waiting[id] = answer
	b.mu.Unlock()
	if params == nil {
		params = map[string]any{}
	}
	request := map[string]any{"id": id, "method": method, "params": params}
	if b.session != "" && method != "Browser.close" {
		request["sessionId"] = b.session
	}
	message, err := json.Marshal(request)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.requests.Write(append(message, 0)); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	select {
	case r := <-answer:
		if r.Error != nil {
			b.t.Fatalf("%s: %s", method, r.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(r.Result, result); err != nil {
				b.t.Fatalf("%s: %v\n%s", method, err, r.Result)
			}
		}
	case <-time.After(time.Minute):
		b.t.Fatalf("%s: the browser does not answer", method)
	}
}

// Open opens a file and waits until it is loaded and laid out. It returns the time that the thread which does
// so took of a processor, whatever else there was to do, and fails if the browser had anything to say of the
// file, or asked for anything but it.
func (b *Browser) Open(file string) time.Duration {
	b.t.Helper()
	b.Call("Page.navigate", map[string]any{"url": "about:blank"}, nil)
	b.waitLoaded("about:blank")
	before := b.busy()
	b.mu.Lock()
	b.problems = nil
	b.mu.Unlock()
	b.Call("Page.navigate", map[string]any{"url": (&url.URL{Scheme: "file", Path: file}).String()}, nil)
	b.waitLoaded(file)
	// Reading the layout forces it.
	var height int
	b.Eval("document.documentElement.scrollHeight", &height)
	took := b.busy() - before
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems[1:] { // the first is the request for the file
		b.t.Errorf("%s: the browser says %s", file, p)
	}
	return took
}

func (b *Browser) waitLoaded(what string) {
	b.t.Helper()
	select {
	case <-b.loaded:
	case <-time.After(time.Minute):
		b.t.Fatalf("%s is not loaded", what)
	}
}

// busy is how long the thread of the page has worked.
func (b *Browser) busy() time.Duration {
	b.t.Helper()
	var r struct {
		Metrics []struct {
			Name  string
			Value float64 // seconds
		}
	}
	b.Call("Performance.getMetrics", nil, &r)
	for _, m := range r.Metrics {
		if m.Name == "TaskDuration" {
			return time.Duration(m.Value * float64(time.Second))
		}
	}
	b.t.Fatal("the browser does not say how long it has worked")
	return 0
}

// Eval evaluates a JavaScript expression in the page, without the page's
// content security policy.
func (b *Browser) Eval(expression string, value any) {
	b.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	b.Call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &r)
	if r.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, r.ExceptionDetails)
	}
	if err := json.Unmarshal(r.Result.Value, value); err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
}

// Look sets the width of the window and the colour scheme, light or dark.
func (b *Browser) Look(width, height int, scheme string) {
	b.t.Helper()
	b.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
	b.Call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// Screenshot returns the page as a PNG, from its top, and as long as that at most.
func (b *Browser) Screenshot(most int) []byte {
	b.t.Helper()
	var size [2]int
	b.Eval("[document.documentElement.clientWidth, document.documentElement.scrollHeight]", &size)
	var shot struct{ Data []byte }
	clip := map[string]any{"x": 0, "y": 0, "width": size[0], "height": min(size[1], most), "scale": 1}
	b.Call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true, "clip": clip}, &shot)
	if len(shot.Data) == 0 {
		b.t.Fatal(fmt.Errorf("an empty picture"))
	}
	return shot.Data
}
