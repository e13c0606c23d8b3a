package remote

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// program writes a shell script that replaces qemu-img and misbehaves.
func program(t *testing.T, script string) (path string) {
	t.Helper()
	peers.Require(t, "sh")
	path = filepath.Join(t.TempDir(), "qemu-img")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

const info = `if [ "$1" = info ]; then echo '{"virtual-size": 131072, "format": "raw"}'; exit; fi
for word; do case $word in of=*) of=${word#of=};; esac; done
`

func TestQemuImgThatMisbehaves(t *testing.T) {
	for _, test := range []struct {
		name, script, says string
		opens              bool
	}{
		{"it fails", `printf 'no\033[2J' >&2; exit 3`, `exit status 3, with the message "no\x1b[2J"`, false},
		{"it complains without an end", `yes qemu-img | head -c 10000000 >&2; exit 1`, `message "qemu-img\nqemu-img`, false},
		{"it dies", `kill -9 $$`, "signal: killed", false},
		{"it says nothing", ``, "output", false},
		{"it says something else", `echo '[]'`, "output", false},
		{"no size", `echo '{}'`, "no size", false},
		{"a negative size", `echo '{"virtual-size": -512}'`, "no size", false},
		{"half a sector", `echo '{"virtual-size": 513}'`, "no size", false},
		{"a size that is too long", `echo '{"virtual-size": 18446744073709551616}'`, "output", false},
		{"an endless answer", `head -c 10000000 /dev/zero | tr '\0' ' '; echo '{"virtual-size": 512}'`, "output", false},
		{"the range is missing", info, "no such file", true},
		{"the range is short", info + `printf x >"$of"`, "it sent 1", true},
		{"the range is long", info + `head -c 65537 /dev/zero >"$of"`, "more than 65536", true},
		{"the copying fails", info + `echo broken >&2; exit 1`, `message "broken"`, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			img, err := (&Opener{QemuImg: program(t, test.script)}).Open(t.Context(), source("ftp", "x", "127.0.0.1:1"))
			if (err == nil) != test.opens {
				t.Fatal(err)
			}
			if err == nil {
				defer img.Close()
				_, err = img.ReadAt(make([]byte, 512), 0)
			}
			if err == nil || !strings.Contains(err.Error(), test.says) || len(err.Error()) > 1000 || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("%v, want %q", err, test.says)
			}
		})
	}
}

// A qemu-img that does not end is ended with the context, though others hold
// its output.
func TestQemuImgThatHangs(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"started", "never"} {
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hanging := program(t, `cd `+dir+`; echo $$ >started; exec cat never`)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		// The reading ends when the program has written.
		os.ReadFile(filepath.Join(dir, "started"))
		cancel()
	}()
	img, err := (&Opener{QemuImg: hanging}).Open(ctx, source("ftp", "x", "127.0.0.1:1"))
	if img != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// What qemu-img is told, and what it is not.
func TestQemuImgCommand(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("ftp_proxy", "http://proxy")
	t.Setenv("ALL_PROXY", "http://proxy")
	t.Setenv("TMPDIR", dir)
	listing := program(t, `printf '%s\n' "$@" >>`+dir+`/arguments; env >>`+dir+`/environment
`+info+`head -c 65536 /dev/zero >"$of"`)
	img, err := (&Opener{QemuImg: listing}).Open(t.Context(), source("ftp", `$(touch x) "a,b',x=y`, "127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	if _, err := img.ReadAt(make([]byte, 512), 70000); err != nil {
		t.Error(err)
	}
	arguments, err := os.ReadFile(filepath.Join(dir, "arguments"))
	if err != nil {
		t.Fatal(err)
	}
	file := `"file":{"driver":"ftp","url":"ftp://127.0.0.1:1/$%28touch%20x%29%20%22a,b%27,x=y"}`
	want := []string{
		"info", "-f", "raw", "--output", "json", `json:{"driver":"raw",` + file + `}`,
		"dd", "-f", "raw", "-O", "raw", "bs=65536", `if=json:{"driver":"raw",` + file + `,"offset":65536,"size":65536}`, "of=",
	}
	got := strings.Split(strings.TrimSpace(string(arguments)), "\n")
	got[len(got)-1] = got[len(got)-1][:min(3, len(got[len(got)-1]))]
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("told %q, want %q", got, want)
	}
	environment, err := os.ReadFile(filepath.Join(dir, "environment"))
	if err != nil || strings.Contains(string(environment), "proxy") || !strings.Contains(string(environment), "TMPDIR=") {
		t.Errorf("%v: %s", err, environment)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "chainfix-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// Without the program's name no protocol of its is read, and nothing is run.
func TestQemuImgIsNotNamed(t *testing.T) {
	for _, protocol := range []string{"ssh", "ftp", "ftps", "tftp", "iscsi", "rbd", "gluster", "nfs", "sheepdog", "vxhs"} {
		_, err := new(Opener).Open(t.Context(), source(protocol, "a/b", "127.0.0.1:1"))
		if !errors.Is(err, storage.ErrNotReadable) || !strings.Contains(err.Error(), "qemu-img") {
			t.Errorf("%s: %v", protocol, err)
		}
	}
	// That a program is missing is not that the image is.
	for _, name := range []string{"/absent/qemu-img", "no-program-of-this-name", t.TempDir()} {
		_, err := (&Opener{QemuImg: name}).Open(t.Context(), source("ftp", "x", "127.0.0.1:1"))
		if !errors.Is(err, ErrQemuImg) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A source that wants a secret gets no contact.
func TestSecretsAreNotThere(t *testing.T) {
	src := source("iscsi", "target/1", "127.0.0.1:1")
	src.Network.Auth = &libvirtxml.DomainDiskAuth{Username: "alice"}
	_, err := (&Opener{QemuImg: program(t, "exit 1")}).Open(t.Context(), src)
	if !errors.Is(err, storage.ErrNotReadable) || strings.Contains(err.Error(), "alice") {
		t.Errorf("%v", err)
	}
}
