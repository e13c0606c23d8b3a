package main

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/chainfix/chainfix/probe/mkimage"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"chainfix": main})
}

// TestScripts runs the program as people do. The scripts have five commands of
// their own:
//
//	raw FILE SIZE                      a raw image
//	qcow2 FILE [KEY=VALUE...]          backing, format, data-file, size
//	qed FILE [KEY=VALUE...]            backing, size, no-probe
//	vhdx FILE                          an empty image
//	expand FILE...                     put the value of $WORK for @WORK@
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"raw": scriptRaw, "qcow2": scriptQcow2, "qed": scriptQED, "vhdx": scriptVHDX, "expand": scriptExpand,
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

// options reads KEY=VALUE words; escapes in values are those of Go strings.
func options(ts *testscript.TestScript, args []string) map[string]string {
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
	o := options(ts, args[1:])
	data, err := mkimage.Qcow2{VirtualSize: sizeOption(ts, o), Backing: o["backing"], BackingFormat: o["format"], DataFile: o["data-file"]}.Bytes()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
}

func scriptQED(ts *testscript.TestScript, neg bool, args []string) {
	o := options(ts, args[1:])
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

func scriptExpand(ts *testscript.TestScript, neg bool, args []string) {
	for _, arg := range args {
		data, err := os.ReadFile(ts.MkAbs(arg))
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(arg), bytes.ReplaceAll(data, []byte("@WORK@"), []byte(ts.Getenv("WORK"))), 0o644))
	}
}
