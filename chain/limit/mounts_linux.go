package limit

import (
	"os"
	"path"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// mounts knows where file systems are mounted, and on which of them folders are.
type mounts struct {
	once   sync.Once
	points map[string]bool

	mu      sync.Mutex
	folders map[string]string // folder, as it was named: the folder that it leads to
	paths   map[string]string // path, as it was named: its mount
}

const (
	// These bound what is remembered.
	maxFolders = 4096
	maxPaths   = 1 << 16
	// maxLinks is how many symlinks Linux follows in one path.
	maxLinks = 40
)

// follow follows a path and tells q, before each step, on which file system that is:
// if the step hangs, that is the one that does not answer.
func (m *mounts) follow(q *request) {
	asked := *q.path.Load()
	if !path.IsAbs(asked) {
		return
	}
	m.once.Do(func() { m.set(mountPoints()) })
	m.mu.Lock()
	mount, known := m.paths[asked]
	m.mu.Unlock()
	if !known {
		folder, name := path.Split(asked)
		links := 0
		mount = m.of(m.step(q, m.resolve(q, folder, &links), name, &links))
		m.mu.Lock()
		defer m.mu.Unlock()
		m.paths = remember(m.paths, maxPaths, asked, mount)
	}
	q.at.Store(&mount)
}

// remember adds to a map that has an end.
func remember(known map[string]string, most int, key, value string) map[string]string {
	if known == nil || len(known) >= most {
		known = make(map[string]string)
	}
	known[key] = value
	return known
}

// resolve returns the folder, without symlinks, to which a named one leads.
func (m *mounts) resolve(q *request, folder string, links *int) string {
	m.mu.Lock()
	known, ok := m.folders[folder]
	m.mu.Unlock()
	if ok {
		return known
	}
	at := "/"
	if parent, name := path.Split(strings.TrimRight(folder, "/")); name != "" {
		at = m.step(q, m.resolve(q, parent, links), name, links)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.folders = remember(m.folders, maxFolders, folder, at)
	return at
}

// step goes on from a folder to what has this name there.
func (m *mounts) step(q *request, folder, name string, links *int) string {
	mount := m.of(folder)
	q.at.Store(&mount)
	switch name {
	case "", ".":
		return folder
	case "..":
		return path.Dir(folder)
	}
	at := path.Join(folder, name)
	if m.points[at] {
		return at // its own file system would be asked
	}
	target, ok := readlink(at)
	if !ok || *links == maxLinks {
		return at
	}
	*links++
	if path.IsAbs(target) {
		folder = "/"
	}
	for name := range strings.SplitSeq(target, "/") {
		folder = m.step(q, folder, name, links)
	}
	return folder
}

// readlink returns what a symlink says; ok is false for anything else. Nearly all that
// is asked for is something else, of which [os.Readlink] would make an error.
func readlink(name string) (target string, ok bool) {
	var none [1]byte
	if _, err := unix.Readlink(name, none[:]); err == unix.EINVAL || err == unix.ENOENT {
		return "", false
	}
	target, err := os.Readlink(name)
	return target, err == nil
}

// of returns where the file system of a folder without symlinks is mounted.
func (m *mounts) of(folder string) string {
	for !m.points[folder] && folder != "/" {
		folder = path.Dir(folder)
	}
	return folder
}

// set says where file systems are mounted, besides "/".
func (m *mounts) set(points []string) {
	m.points = map[string]bool{"/": true}
	for _, point := range points {
		m.points[point] = true
	}
}

// mountPoints reads those of this process (proc_pid_mountinfo(5)).
func mountPoints() (points []string) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 4 {
			points = append(points, unescape(fields[4]))
		}
	}
	return points
}

// unescape replaces the octal escapes of mountinfo: those of spaces, tabs, line ends
// and backslashes.
func unescape(s string) string {
	parts := strings.Split(s, `\`)
	for i, part := range parts[1:] {
		if len(part) >= 3 {
			if n, err := strconv.ParseUint(part[:3], 8, 8); err == nil {
				parts[i+1] = string([]byte{byte(n)}) + part[3:]
				continue
			}
		}
		parts[i+1] = `\` + part
	}
	return strings.Join(parts, "")
}
