package main

import (
	"maps"
	"sync"

	"github.com/chainfix/chainfix/testdata/slowfs/mount"
)

// counter counts requests. A hanging request counts as in flight too.
type counter struct {
	mu       sync.Mutex
	changed  sync.Cond // hung grew
	inFlight int
	hung     int
	counts   mount.Counts
}

func newCounter() *counter {
	c := &counter{counts: mount.Counts{Requests: map[string]int{}}}
	c.changed.L = &c.mu
	return c
}

func (c *counter) begin(operation string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Requests[operation]++
	c.inFlight++
	c.counts.Most = max(c.counts.Most, c.inFlight)
}

func (c *counter) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight--
}

// hang counts a request that hangs until done is called.
func (c *counter) hang() (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hung++
	c.changed.Broadcast()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.hung--
	}
}

// take returns the counts since the last call, and resets them.
func (c *counter) take() mount.Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.counts
	taken.Hung = c.hung
	c.counts = mount.Counts{Requests: map[string]int{}, Most: c.inFlight}
	return taken
}

// awaitHung returns the counts as soon as n requests hang.
func (c *counter) awaitHung(n int) mount.Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.hung < n {
		c.changed.Wait()
	}
	counts := c.counts
	counts.Requests = maps.Clone(counts.Requests)
	counts.Hung = c.hung
	return counts
}
