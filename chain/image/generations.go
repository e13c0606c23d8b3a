package image

import "sync"

// generations is a bounded cache of recently used entries: two generations of
// half the size each; when the recent one is full, the older one is dropped.
// It is safe for concurrent use.
type generations[K comparable, V any] struct {
	size func(K, V) int // approximate size of an entry in bytes

	mu            sync.Mutex
	recent, older map[K]V
	bytes         int // size of recent
	limit         int // of recent
}

func (g *generations[K, V]) get(key K) (value V, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if value, ok = g.recent[key]; ok {
		return value, true
	}
	if value, ok = g.older[key]; ok {
		g.keep(key, value)
	}
	return value, ok
}

func (g *generations[K, V]) put(key K, value V) V {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.keep(key, value)
	return value
}

func (g *generations[K, V]) keep(key K, value V) {
	size := g.size(key, value)
	if g.recent == nil || g.bytes+size > g.limit {
		g.older, g.recent, g.bytes = g.recent, make(map[K]V), 0
	}
	g.recent[key] = value
	g.bytes += size
}
