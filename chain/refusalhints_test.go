package chain_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/testdata/peers"
	"github.com/chainfix/chainfix/xmlfix"
)

// neverRefused are the codes of findings that are no refusals of a chain; ran-otherwise is
// one of a hook's, whose hint its own test looks at, and document-unreadable is of what
// could not even be read.
var neverRefused = []finding.Code{
	finding.RanOtherwise, finding.DocumentUnreadable, finding.DriverTypeMissing, finding.SourceType, finding.ManagedSave, finding.BlockJob, finding.TransientLeftover, finding.SnapshotDiffers, finding.BytesChange, finding.RawWithSignature,
	finding.FormatDisputed, finding.ProbedFormat, finding.TrustedHeader, finding.StatedElsewhere, finding.BaseWritten, finding.SharedWritable, finding.ChainMoved,
	finding.ChainUnverified, finding.ChainKept, finding.BackingTypeless, finding.XMLNotImage, finding.ChainElsewhere,
}

// state is a folder and what is asked of it: a case, perhaps after a hint was
// followed.
type state struct {
	*files
	*refusal
	text   string // the document
	policy chain.Policy
}

func newState(t *testing.T, r *refusal) *state {
	f := newFiles(t)
	if r.build != nil {
		r.build(f)
	}
	s := &state{files: f, refusal: r, policy: r.policy}
	disk := r.disk
	if disk == "" {
		disk = topDisk
	}
	if !strings.Contains(disk, "<target") {
		disk += "<target dev='vda' bus='virtio'/>"
	}
	s.text = "<domain><name>web</name><devices>" + strings.ReplaceAll(disk, "@", f.dir) + "</disk></devices></domain>"
	if r.document != "" {
		s.text = r.document
	}
	if r.trust != "" {
		s.trusted(f.path(r.trust))
	}
	return s
}

func (s *state) trusted(word string) {
	statement, err := chain.ParseStatement(word, "")
	if err != nil {
		s.t.Fatalf("--trust %s: %v", word, err)
	}
	s.policy.Trust = append(s.policy.Trust[:len(s.policy.Trust):len(s.policy.Trust)], statement)
}

// findings are the refusals.
func (s *state) findings() []finding.Finding {
	s.t.Helper()
	problem := func(err error) []finding.Finding {
		var x *xmlfix.Error
		if !errors.As(err, &x) {
			s.t.Fatal(err)
		}
		return []finding.Finding{{Code: x.Code, Severity: finding.Refuse, Text: x.Text(), Remedy: x.Remedy}}
	}
	doc, err := xmlfix.Parse("web.xml", []byte(s.text))
	if err != nil {
		return problem(err)
	}
	stated, err := doc.Disks()[0].Stated()
	if err != nil {
		return problem(err)
	}
	s.touched, s.opened = map[string]bool{}, map[string]int{}
	w := &chain.Walker{Images: image.NewCache(s.files), Policy: s.policy}
	if s.evidence != nil {
		w.Evidence = s.evidence(s.files)
	}
	if s.opener != nil {
		w.Images = image.NewCache(s.opener(s.files))
	}
	got, err := w.Walk(s.t.Context(), stated)
	if err != nil {
		s.t.Fatal(err)
	}
	var refused []finding.Finding
	for _, f := range got.Findings {
		if f.Severity == finding.Refuse {
			refused = append(refused, f)
		}
	}
	return refused
}

func (s *state) remedy(t *testing.T) finding.Remedy {
	t.Helper()
	refused := s.findings()
	for _, f := range refused {
		if f.Remedy.IsZero() {
			t.Errorf("no hint: [%s] %s", f.Code, f.Text)
		}
		checkRemedy(t, f)
		if strings.ContainsAny(f.Remedy.String(), "\n\x1b") {
			t.Errorf("hint %q", f.Remedy.String())
		}
	}
	for _, f := range refused {
		if f.Code == finding.Code(s.code) {
			return f.Remedy
		}
	}
	t.Fatalf("refused with %+v, not %q", refused, s.code)
	return finding.Remedy{}
}

// ofAFormat are the codes of refusals that somebody has to answer with a format.
var ofAFormat = []finding.Code{
	finding.FormatUnrecorded, finding.ProbedNotRaw, finding.ProbedBacking, finding.AmbiguousSignatures, finding.NameContradicts, finding.RecordContradicts,
	finding.SizeContradicts, finding.TrustConflict, finding.RawDiskElsewhere, finding.StatedConflict, finding.FormatConflict, finding.FormatMismatch,
}

// What looks like a command or a flag, except those that the operator should
// remove.
var (
	commandLike = regexp.MustCompile(`qemu-img \w+ -|virsh \w|chainfix probe|--[a-z]`)
	takenBack   = regexp.MustCompile(`--trust .*?, or its entry`)
)

// checkRemedy compares the data of a remedy with its words: they have the same
// commands, and if a format has to be stated, the data name the image.
func checkRemedy(t *testing.T, f finding.Finding) {
	t.Helper()
	words := takenBack.ReplaceAllString(f.Remedy.String(), "")
	for _, command := range f.Remedy.Commands {
		if !strings.Contains(words, command) {
			t.Errorf("[%s] %q is not in %q", f.Code, command, f.Remedy)
		}
	}
	longestFirst := slices.SortedFunc(slices.Values(f.Remedy.Commands), func(a, b string) int { return len(b) - len(a) })
	for _, command := range longestFirst {
		words = strings.ReplaceAll(words, command, "")
	}
	if commandLike.MatchString(words) {
		t.Errorf("[%s] %q has commands besides %q", f.Code, f.Remedy, f.Remedy.Commands)
	}
	lost := strings.Contains(words, "if it is lost") // and so of no format
	if f.Severity == finding.Refuse && slices.Contains(ofAFormat, f.Code) && !lost && (f.Remedy.Image == "" || len(f.Remedy.Formats) == 0) {
		t.Errorf("[%s] %q names the image %q and the formats %q", f.Code, f.Remedy, f.Remedy.Image, f.Remedy.Formats)
	}
	if len(f.Remedy.Formats) > 0 && f.Remedy.Image == "" {
		t.Errorf("[%s] %q has the formats %q of no image", f.Code, f.Remedy, f.Remedy.Formats)
	}
}

// Every code that refuses is there, each with a hint.
func TestEveryRefusalHasAHint(t *testing.T) {
	peers.Require(t, "sh", "qemu-img")
	produced := make(map[finding.Code]bool)
	for _, r := range refusals {
		produced[finding.Code(r.code)] = true
	}
	for _, code := range neverRefused {
		if produced[code] {
			t.Errorf("%q never refuses, and does", code)
		}
		produced[code] = true
	}
	for _, e := range finding.Explanations() {
		if !produced[e.Code] {
			t.Errorf("nothing here is refused with %q", e.Code)
		}
	}
	for _, r := range refusals {
		t.Run(r.code+"/"+r.name, func(t *testing.T) {
			hint := newState(t, &r).remedy(t).String()
			if r.byHand != "" {
				wantContains(t, hint, r.byHand)
			}
		})
	}
}

// No code that is said never to refuse is given to what refuses.
func TestCodesThatNeverRefuse(t *testing.T) {
	never := make(map[string]bool)
	for name, code := range codeNames(t) {
		for _, c := range neverRefused {
			never[name] = never[name] || c == code && c != finding.RanOtherwise
		}
	}
	paths, err := filepath.Glob("*.go")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	calls := 0
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			method, _ := call.Fun.(*ast.SelectorExpr)
			code, _ := call.Args[0].(*ast.SelectorExpr)
			if method == nil || code == nil || method.Sel.Name != "refuse" && method.Sel.Name != "resolveConflict" {
				return true
			}
			calls++
			if never[code.Sel.Name] {
				t.Errorf("%s: %s refuses", path, code.Sel.Name)
			}
			return true
		})
	}
	if calls == 0 {
		t.Error("no refusals were found")
	}
}

// codeNames returns the codes by their names.
func codeNames(t *testing.T) map[string]finding.Code {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), "finding/codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]finding.Code)
	ast.Inspect(parsed, func(n ast.Node) bool {
		if decl, ok := n.(*ast.GenDecl); ok && decl.Tok == token.VAR {
			return false // a table of explanations
		}
		if spec, ok := n.(*ast.ValueSpec); ok {
			for i, v := range spec.Values {
				names[spec.Names[i].Name] = finding.Code(strings.Trim(v.(*ast.BasicLit).Value, `"`))
			}
		}
		return true
	})
	return names
}

// The parts of hints that the test can carry out.
var (
	alternative   = regexp.MustCompile(`; or |; otherwise |; if |; |, otherwise | or (?:--|rebuild|use |name |correct |virsh)`)
	droppedFlag   = regexp.MustCompile(`remove --trust (\S+?),? `)
	driverTag     = regexp.MustCompile(`<driver name='qemu' type='\w+'/>`)
	formatTag     = regexp.MustCompile(`<format type='\w+'/>`)
	encryptionTag = regexp.MustCompile(`^.*(<encryption.*</encryption>).*$`)
	storeTag      = regexp.MustCompile(`(<backingStore type=.*</backingStore>)`)
)

// alternatives splits a hint into its alternatives.
func alternatives(hint string) []string {
	var found []string
	for {
		at := alternative.FindStringIndex(hint)
		if at == nil {
			return append(found, hint)
		}
		found = append(found, hint[:at[0]])
		rest := hint[at[1]:]
		if word := regexp.MustCompile(`(--|rebuild|use |name |correct |virsh)$`).FindString(hint[at[0]:at[1]]); word != "" {
			rest = word + rest
		}
		hint = rest
	}
}

// follow does what one alternative of a remedy says. It reports whether there was
// anything to do.
func (s *state) follow(way string, remedy finding.Remedy) bool {
	s.t.Helper()
	did := false
	if m := droppedFlag.FindStringSubmatch(way + " "); m != nil {
		s.policy.Trust = nil
		return true
	}
	for _, command := range remedy.Commands {
		if !strings.Contains(way, command) {
			continue // of another alternative
		}
		for word, text := range s.fill {
			command = strings.ReplaceAll(command, word, strings.ReplaceAll(text, "@", s.dir))
		}
		program, rest, _ := strings.Cut(command, " ")
		verb, _, _ := strings.Cut(rest, " ")
		switch {
		case strings.HasPrefix(program, "--"):
			did = s.give(strings.Fields(command)) || did
		case program == "qemu-img" && (verb == "rebase" || verb == "convert" || verb == "amend"):
			s.sh(command)
			did = true
			if strings.Contains(way, "name the copy in the XML") {
				copied := command[strings.LastIndex(command, " ")+1:]
				s.text = strings.Replace(s.text, "file='"+s.path("top.qcow2")+"'", "file='"+copied+"'", 1)
			}
		}
	}
	if tag := driverTag.FindString(way); tag != "" {
		s.text, did = driverTag.ReplaceAllString(s.text, tag), true
	}
	switch store := storeTag.FindString(way); {
	case store != "":
		s.text, did = strings.Replace(s.text, "<target", strings.ReplaceAll(store, "UUID-OF-THE-SECRET", someUUID)+"<target", 1), true
	case encryptionTag.MatchString(way):
		tag := strings.ReplaceAll(encryptionTag.FindStringSubmatch(way)[1], "UUID-OF-THE-SECRET", someUUID)
		s.text, did = strings.Replace(s.text, "/><target", ">"+tag+"</source><target", 1), true
	case strings.Contains(way, "in its <backingStore>"):
		if all := formatTag.FindAllString(s.text, -1); len(all) > 0 {
			at := strings.LastIndex(s.text, all[len(all)-1])
			s.text, did = s.text[:at]+formatTag.FindString(way)+s.text[at+len(all[len(all)-1]):], true
		}
	}
	if strings.Contains(way, "remove the <dataStore>") {
		s.text, did = regexp.MustCompile(`<dataStore.*</dataStore>`).ReplaceAllString(s.text, ""), true
	}
	return did
}

// give gives flags. It reports whether it knows them.
func (s *state) give(flags []string) bool {
	s.t.Helper()
	did, trusted := false, false
	for i, flag := range flags {
		switch flag {
		case "--trust":
			if !trusted {
				s.policy.Trust = nil // replaces earlier statements
			}
			s.trusted(flags[i+1])
			did, trusted = true, true
		case "--target-libvirt":
			target, err := libvirt.ParseVersion(flags[i+1])
			if err != nil {
				s.t.Fatal(err)
			}
			s.policy.Target, did = target, true
		case "--refresh":
			s.policy.Disagreement, did = chain.HeadersWin, true
		case "--keep-xml":
			s.policy.Disagreement, did = chain.XMLWins, true
		}
	}
	return did
}

const someUUID = "00000000-0000-4000-8000-000000000001"

// Every alternative of a hint with a command, a flag or a line of XML removes
// the refusal, without causing another.
func TestHintsLeadSomewhere(t *testing.T) {
	peers.Require(t, "sh", "qemu-img")
	for _, r := range refusals {
		t.Run(r.code+"/"+r.name, func(t *testing.T) {
			ways := alternatives(newState(t, &r).remedy(t).String())
			followed := 0
			for i := range ways {
				s := newState(t, &r) // in a folder of its own
				remedy := s.remedy(t)
				own := alternatives(remedy.String())
				if len(own) != len(ways) {
					t.Fatalf("%q is %q another time", ways, own)
				}
				if !s.follow(own[i], remedy) {
					continue
				}
				followed++
				for _, f := range s.findings() {
					t.Errorf("hint: %s\nway: %s\n[%s] %s\nhint: %s", remedy, own[i], f.Code, f.Text, f.Remedy)
				}
			}
			if followed == 0 && r.byHand == "" {
				t.Errorf("nobody follows %q", ways)
			}
		})
	}
}
