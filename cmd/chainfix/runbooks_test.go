package main

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// runbookCommand is a command of a runbook, and what the runbook says that it prints.
type runbookCommand struct {
	line    int
	host    string // the word in front of the "$"; usually none
	command string
	printed []string
}

// prompt precedes a command.
var prompt = regexp.MustCompile(`^(\w*)\$ (.+)$`)

// commandsOf returns the commands of a runbook. Its indented blocks contain
// only commands and their output: every command is run.
func commandsOf(t *testing.T, path string) []runbookCommand {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []runbookCommand
	inBlock := false
	for i, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "```") {
			t.Errorf("%s:%d: commands are indented, not fenced", path, i+1)
		}
		line, indented := strings.CutPrefix(line, "    ")
		if !indented && strings.TrimSpace(line) != "" {
			inBlock = false
			continue
		}
		switch found := prompt.FindStringSubmatch(line); {
		case !indented: // an empty line, perhaps between two commands
		case found != nil:
			all = append(all, runbookCommand{line: i + 1, host: found[1], command: found[2]})
			inBlock = true
		case !inBlock:
			t.Errorf("%s:%d: the block does not begin with a command", path, i+1)
		default:
			last := &all[len(all)-1]
			last.printed = append(last.printed, line)
		}
	}
	return all
}

// matches reports whether a command has printed what the runbook says: "..."
// matches anything within a line, and on a line of its own any lines.
func (c runbookCommand) matches(output string) bool {
	pattern := `^\n*`
	for _, line := range c.printed {
		if strings.TrimSpace(line) == "..." {
			pattern += `(?:.*\n)*?`
			continue
		}
		pattern += strings.ReplaceAll(regexp.QuoteMeta(line), `\.\.\.`, `.*`) + `[ ]*\n`
	}
	return regexp.MustCompile(pattern + `\n*$`).MatchString(output)
}

// shell is a shell that stays for a whole runbook.
type shell struct {
	t      *testing.T
	input  io.WriteCloser
	output *bufio.Reader
}

// newShell starts a shell with a private libvirt as its host, in a folder that
// can be written to. The words of env are NAME=VALUE.
func newShell(t *testing.T, l *peers.Libvirt, env ...string) *shell {
	t.Helper()
	installProgram(t, l)
	dir := filepath.Join(l.Dir, "work")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	l.Share(dir)
	cmd := l.Command("bash", "--noprofile", "--norc")
	cmd.Dir = dir
	cmd.Env = append(cmd.Env, append(env, "LC_ALL=C.UTF-8", "PWD="+dir)...)
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	s := &shell{t: t, output: bufio.NewReader(output)}
	if s.input, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.say("exit 0")
		if err := cmd.Wait(); err != nil {
			t.Errorf("the shell: %v", err)
		}
	})
	// The status of a command is kept for the next one, which may ask for it.
	s.say(`mark() { local status=$?; printf '\0'; return $status; }`)
	return s
}

func (s *shell) say(line string) {
	s.t.Helper()
	if _, err := io.WriteString(s.input, line+"\n"); err != nil {
		s.t.Fatal(err)
	}
}

// run runs a command and returns what it prints, on both streams.
func (s *shell) run(command string) string {
	s.t.Helper()
	s.say("{ " + command + "\n} </dev/null; mark")
	output, err := s.output.ReadString(0)
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", command, err, output)
	}
	return strings.TrimSuffix(output, "\x00")
}

// follow runs the commands of a runbook, which is a page of the documentation, each in the
// shell of its host.
func follow(t *testing.T, page string, shells map[string]*shell) {
	t.Helper()
	path := filepath.Join("../../docs", page)
	commands := commandsOf(t, path)
	if len(commands) == 0 {
		t.Fatalf("%s has no commands", path)
	}
	for _, c := range commands {
		s := shells[c.host]
		if s == nil {
			t.Fatalf("%s:%d: there is no host %q", path, c.line, c.host)
		}
		output := s.run(c.command)
		t.Logf("%s$ %s\n%s", c.host, c.command, output)
		if !c.matches(output) {
			t.Fatalf("%s:%d: $ %s\nprints:\n%s\nand the runbook says:\n%s", path, c.line, c.command, output, strings.Join(c.printed, "\n"))
		}
	}
}

// TestRunbookConvention: a runbook that is wrong is noticed.
func TestRunbookConvention(t *testing.T) {
	for _, c := range []struct {
		printed, output string
		want            bool
	}{
		{"", "", true},
		{"", "something\n", false},
		{"one", "one\n", true},
		{"one", "\none\n\n", true},
		{"one", "one\ntwo\n", false},
		{"one\n...", "one\ntwo\nthree\n", true},
		{"one\n...\nthree", "one\nthree\n", true},
		{"one\n...\nthree", "one\ntwo\n", false},
		{"in .../images", "in /a/b/images\n", true},
		{"in .../images", "in /a/b/\nimages\n", false},
		{"a.b", "axb\n", false},
	} {
		var lines []string
		if c.printed != "" {
			lines = strings.Split(c.printed, "\n")
		}
		if got := (runbookCommand{printed: lines}).matches(c.output); got != c.want {
			t.Errorf("%q for %q: %v", c.output, c.printed, got)
		}
	}
}

// TestRunbooksNameFindings: the classes of findings in the runbooks are those
// that there are.
func TestRunbooksNameFindings(t *testing.T) {
	files, err := filepath.Glob("../../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range regexp.MustCompile("`([a-z]+(?:-[a-z]+)+)`").FindAllSubmatch(text, -1) {
			code := string(word[1])
			if code == "db-template" || code == "qemu-img" {
				continue // a guest, and a program
			}
			if _, ok := finding.Explain(finding.Code(code)); !ok {
				t.Errorf("%s: no finding has the code %q", file, code)
			}
			named++
		}
	}
	if len(files) == 0 || named == 0 {
		t.Errorf("%d files, %d codes", len(files), named)
	}
}

// runbook prepares a private libvirt with a raw image "system.img" and
// overlays of it that record that: two layers of every chain.
func runbook(t *testing.T, bases ...string) *peers.Libvirt {
	t.Helper()
	l := peers.StartLibvirt(t)
	newRaw(t, l, "system.img")
	for _, name := range bases {
		newOverlay(t, l, name, "system.img", "raw")
	}
	return l
}

// defineOverlay defines a guest over an image of unrecorded format.
func defineOverlay(t *testing.T, l *peers.Libvirt, name, backing string) {
	t.Helper()
	l.Define(guestWithDisk(name, "qcow2", newOverlay(t, l, name+".qcow2", backing, "")))
}

// explicit reports whether the definition of a guest states its chain to the
// end.
func explicit(l *peers.Libvirt, guest string) bool {
	return strings.Contains(l.Virsh("dumpxml", "--inactive", guest), "<backingStore/>")
}

func TestTutorial(t *testing.T) {
	t.Parallel()
	follow(t, "tutorial.md", map[string]*shell{"": newShell(t, peers.StartLibvirt(t))})
}

func TestBeforeAnUpgrade(t *testing.T) {
	t.Parallel()
	l := runbook(t, "shop-base.img")
	vhdx, err := mkimage.VHDX{VirtualSize: demoSize}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	newImage(t, l, "golden.img", vhdx)
	for name, backing := range map[string]string{
		"web": "system.img", "lab": "system.img", "archive": "system.img", "shop": "shop-base.img", "old": "gone.img", "legacy": "golden.img",
	} {
		defineOverlay(t, l, name, backing)
	}
	l.Define(guestWithDisk("mail", "raw", newRaw(t, l, "mail.img")))
	l.Define(guestWithDisk("files", "qcow2", newOverlay(t, l, "files.qcow2", "system.img", "raw")))
	l.Virsh("start", "lab")
	l.Virsh("start", "archive")
	l.Virsh("managedsave", "archive")
	before := virshDefinitions(l)
	follow(t, "runbooks/before-an-upgrade.md", map[string]*shell{"": newShell(t, l)})
	for name, definition := range virshDefinitions(l) {
		// This one's run is not rolled back.
		if name == "archive" && explicit(l, name) {
			continue
		}
		if definition != before[name] {
			t.Errorf("%q is not what it was:\n%s", name, definition)
		}
	}
}

func TestAfterFormatOfBackingImage(t *testing.T) {
	t.Parallel()
	peers.Require(t, "qemu-img")
	l := runbook(t, "base.img", "golden.img", "shop-base.img")
	newOverlay(t, l, "tenant.img", "/etc/passwd", "raw")
	for name, backing := range map[string]string{"web": "base.img", "db": "golden.img", "shop": "shop-base.img", "tenant": "tenant.img"} {
		defineOverlay(t, l, name, backing)
	}
	l.Define(guestWithDisk("db-template", "qcow2", filepath.Join(l.Images, "golden.img")))
	l.Define(guestWithDisk("mallory", "raw", filepath.Join(l.Images, "tenant.img")))
	before := virshDefinitions(l)
	follow(t, "runbooks/after-format-of-backing-image.md", map[string]*shell{"": newShell(t, l)})
	for _, name := range []string{"db", "shop", "tenant"} {
		if !explicit(l, name) {
			t.Errorf("%q is not explicit", name)
		}
	}
	if now := virshDefinitions(l)["web"]; now != before["web"] {
		t.Errorf("%q is not what it was:\n%s", "web", now)
	}
	for _, path := range l.OpenFiles("tenant") {
		if path == "/etc/passwd" {
			t.Error("the forged name was followed")
		}
	}
}

func TestDuringAMigration(t *testing.T) {
	t.Parallel()
	from, to := runbook(t, "shop-base.img"), peers.StartLibvirt(t)
	for _, name := range []string{"web", "mail", "lab"} {
		defineOverlay(t, from, name, "system.img")
	}
	// This one was started while the overlay still recorded a format, as by a
	// libvirt that did not ask for one: QEMU reads no header twice.
	from.Define(guestWithDisk("shop", "qcow2", newOverlay(t, from, "shop.qcow2", "shop-base.img", "qcow2")))
	for _, name := range []string{"web", "mail", "shop"} {
		from.Virsh("start", name)
	}
	newOverlay(t, from, "shop.qcow2", "shop-base.img", "")
	before := virshDefinitions(from)
	follow(t, "runbooks/during-a-migration.md", map[string]*shell{"old": newShell(t, from, "NEW="+to.URI()), "new": newShell(t, to)})
	if left := virshDefinitions(from); len(left) > 0 {
		t.Errorf("still on the old host: %q", left)
	}
	now := virshDefinitions(to)
	if !explicit(to, "lab") || !explicit(to, "shop") || now["web"] != before["web"] || now["mail"] != before["mail"] {
		t.Errorf("on the new host: %q", now)
	}
}
