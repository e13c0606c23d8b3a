package limit

import (
	"os"
	"path"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// mounts has the mount points of the system, and the mount of each folder.
type mounts struct {
	once   sync.Once
	points map[string]bool

	mu      sync.Mutex
	folders map[string]string // folder, as named: its path without symlinks
	paths   map[string]string // path, as named: its mount
}

const (
	// These bound the caches.
	maxFolders = 4096
	maxPaths   = 1 << 16
	// maxLinks is the number of symlinks that Linux follows in one path.
	maxLinks = 40
)

// follow follows a path and stores in q, before each step, the file system of
// the step: if the step hangs, that is the one that does not answer.
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

// remember adds to a map of bounded size.
func remember(known map[string]string, most int, key, value string) map[string]string {
	if known == nil || len(known) >= most {
		known = make(map[string]string)
	}
	known[key] = value
	return known
}

// resolve returns the path of a folder without symlinks.
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

// step goes from a folder to the entry with this name.
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
		return at // examining it would access its own file system
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

// readlink returns the target of a symlink; ok is false for anything else.
// Nearly all names are something else, for which [os.Readlink] would allocate
// an error.
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

// set sets the mount points, besides "/".
func (m *mounts) set(points []string) {
	m.points = map[string]bool{"/": true}
	for _, point := range points {
		m.points[point] = true
	}
}

// mountPoints reads the mount points of this process (proc_pid_mountinfo(5)).
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
