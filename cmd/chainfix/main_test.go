package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

func TestMain(m *testing.M) { os.Exit(withProgram(m)) }

// builtElsewhere is the environment variable that names the folder of a chainfix
// which is built already, for the tests that run where there is no Go.
const builtElsewhere = "CHAINFIX_BUILT"

// withProgram runs the tests with chainfix as people have it first in the path.
// It is built once: the test binary, which starts slowly and may have the race
// detector, says nothing about the real program.
func withProgram(m *testing.M) (status int) {
	if dir := os.Getenv(builtElsewhere); dir != "" {
		return withPath(m, dir)
	}
	dir, err := os.MkdirTemp("", "chainfix-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	// Guests' tests run it as another user.
	if err := os.Chmod(dir, 0o755); err != nil {
		log.Fatal(err)
	}
	if err := build(filepath.Join(dir, "chainfix"), "urfave_cli_no_docs"); err != nil {
		log.Print(err)
		return 1
	}
	return withPath(m, dir)
}

func build(path, tags string) error {
	build := exec.Command("go", "build", "-tags", tags, "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

func withPath(m *testing.M, dir string) (status int) {
	if err := os.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH")); err != nil {
		log.Print(err)
		return 1
	}
	return m.Run()
}

// builtProgram is the path of chainfix as people have it, which is also first
// in the path.
func builtProgram(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("chainfix")
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// TestScripts runs the program as people do, and validates what it prints for programs. The scripts have six commands of
// their own:
//
//	raw FILE SIZE                      a raw image
//	qcow2 FILE [KEY=VALUE...]          backing, format, data-file, size
//	qed FILE [KEY=VALUE...]            backing, size, no-probe
//	vhdx FILE                          an empty image
//	luks FILE                          one that is encrypted
//	expand FILE...                     put the value of $WORK for @WORK@
func TestScripts(t *testing.T) { runScripts(t, filepath.Dir(builtProgram(t))) }

// TestScriptsOfPackage runs the scripts with the two programs of a package: the small one
// in the path, and the full one where that hands over to it.
func TestScriptsOfPackage(t *testing.T) { runScripts(t, filepath.Join(packagePrograms(t), "bin")) }

// packagePrograms returns a folder with the two programs as a package has them.
func packagePrograms(t *testing.T) string {
	t.Helper()
	peers.Require(t, "go")
	dir := t.TempDir()
	for _, below := range []string{"bin", "libexec/chainfix"} {
		if err := os.MkdirAll(filepath.Join(dir, below), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(builtProgram(t), filepath.Join(dir, "libexec/chainfix/chainfix")); err != nil {
		t.Fatal(err)
	}
	if err := build(filepath.Join(dir, "bin/chainfix"), "small,urfave_cli_no_docs"); err != nil {
		t.Fatal(err)
	}
	return dir
}

func runScripts(t *testing.T, programs string) {
	testscript.RunT(scriptT{t}, testscript.Params{
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", programs+string(filepath.ListSeparator)+env.Getenv("PATH"))
			return nil
		},
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("CHAINFIX_UPDATE") == "1",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"raw": scriptRaw, "qcow2": scriptQcow2, "qed": scriptQED, "vhdx": scriptVHDX, "luks": scriptLUKS, "expand": scriptExpand,
		},
	})
}

const scriptSize = 8 << 20

func scriptRaw(ts *testscript.TestScript, neg bool, args []string) {
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte("boot"), 0o644))
	ts.Check(os.Truncate(ts.MkAbs(args[0]), size))
}

// keyValues reads KEY=VALUE words; escapes in values are those of Go strings.
func keyValues(ts *testscript.TestScript, args []string) map[string]string {
	all := make(map[string]string)
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		value, err := strconv.Unquote(`"` + strings.ReplaceAll(value, `"`, `\"`) + `"`)
		ts.Check(err)
		all[key] = value
	}
	return all
}

func sizeOption(ts *testscript.TestScript, o map[string]string) uint64 {
	if o["size"] == "" {
		return scriptSize
	}
	size, err := strconv.ParseUint(o["size"], 10, 64)
	ts.Check(err)
	return size
}

func scriptQcow2(ts *testscript.TestScript, neg bool, args []string) {
	o := keyValues(ts, args[1:])
	data, err := mkimage.Qcow2{VirtualSize: sizeOption(ts, o), Backing: o["backing"], BackingFormat: o["format"], DataFile: o["data-file"]}.Bytes()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
}

func scriptQED(ts *testscript.TestScript, neg bool, args []string) {
	o := keyValues(ts, args[1:])
	_, noProbe := o["no-probe"]
	data, err := mkimage.QED{VirtualSize: sizeOption(ts, o), Backing: o["backing"], NoProbe: noProbe}.Bytes()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
}

func scriptVHDX(ts *testscript.TestScript, neg bool, args []string) {
	data, err := mkimage.VHDX{VirtualSize: scriptSize}.Bytes()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
}

func scriptLUKS(ts *testscript.TestScript, neg bool, args []string) {
	data, err := mkimage.LUKS1{VirtualSize: scriptSize}.Bytes()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
}

func scriptExpand(ts *testscript.TestScript, neg bool, args []string) {
	for _, arg := range args {
		data, err := os.ReadFile(ts.MkAbs(arg))
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(arg), bytes.ReplaceAll(data, []byte("@WORK@"), []byte(ts.Getenv("WORK"))), 0o644))
	}
}
