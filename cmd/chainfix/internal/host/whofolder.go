package host

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/chain/storage"
)

// compareFolder reports whether the image is in a folder that is shared with a
// guest.
func (t *whoTarget) compareFolder(ctx context.Context, folder string) sameness {
	what := strconv.Quote(folder) + " is shared with the guest"
	s, err := limit.Do(ctx, t.images.Requests(), folder, func(context.Context) (sameness, error) { return t.inFolder(folder, what) })
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return sameness{}
	case err != nil:
		return sameness{why: what + ", and cannot be read: " + storage.Reason(err)}
	}
	return s
}

func (t *whoTarget) inFolder(folder, what string) (sameness, error) {
	want, err := os.Stat(folder)
	if err != nil {
		return sameness{}, err
	}
	var names []string
	for _, name := range t.names {
		if name == filepath.Clean(name) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		for at := filepath.Dir(name); ; at = filepath.Dir(at) {
			if is, err := os.Stat(at); err == nil && os.SameFile(want, is) {
				return sameness{same: true}, nil
			}
			if at == "/" || at == "." {
				break
			}
		}
	}
	var st unix.Stat_t
	if err := unix.Stat(t.name, &st); errors.Is(err, fs.ErrNotExist) {
		return sameness{}, nil
	} else if err != nil {
		return sameness{}, &fs.PathError{Op: "stat", Path: t.name, Err: err}
	}
	if st.Nlink > 1 || mountsHide(folder, names) {
		return sameness{why: what + ", and may contain the image under another name, through a mount or a hard link"}, nil
	}
	return sameness{}, nil
}

// mountsHide reports whether one of the names may be below a folder although
// none of its parent folders is that folder: something is mounted in the
// folder, or the name is in a bind mount.
func mountsHide(folder string, names []string) bool {
	if resolved, err := filepath.EvalSymlinks(folder); err == nil {
		folder = resolved
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return true
	}
	longest := make([]string, len(names))
	roots := make([]string, len(names))
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		root, point := fields[3], mountEscapes.Replace(fields[4])
		if isWithin(point, folder) && point != folder {
			return true
		}
		for i, name := range names {
			if isWithin(name, point) && len(point) >= len(longest[i]) {
				longest[i], roots[i] = point, root
			}
		}
	}
	for _, root := range roots {
		if root != "/" {
			return true
		}
	}
	return false
}

// mountEscapes undoes what the kernel does to the names in its list of mounts.
var mountEscapes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func isWithin(name, folder string) bool {
	return folder == "/" || name == folder || strings.HasPrefix(name, folder+"/")
}
