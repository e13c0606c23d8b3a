package chain

import (
	"context"
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/probe"
)

// MaxLayers is the number of images a chain may have, as in libvirt (9.0,
// VIR_STORAGE_SOURCE max depth): deeper ones it calls self-referential.
const MaxLayers = 200

// ErrNoTop: a [Stated] without layers was walked.
var ErrNoTop = errors.New("stated chain has no top layer")

// Walker walks backing chains. It remembers the images that it has seen, so
// that one shared by several disks is read once: make a Walker for each run,
// and one for each goroutine.
type Walker struct {
	Opener  Opener  // nil means [FileOpener]
	Volumes Volumes // nil knows no storage pool
	Policy  Policy

	looks map[lookKey]looked
	head  [4096]byte
}

// Walk finds the chain of one disk. What is wrong with the chain or its images
// comes back as findings of a refused Chain; the error is for a context that
// has ended, or for a stated chain without a top ([ErrNoTop]).
func (w *Walker) Walk(ctx context.Context, stated Stated) (*Chain, error) {
	if len(stated.Layers) == 0 {
		return nil, ErrNoTop
	}
	if w.Opener == nil {
		w.Opener = FileOpener{}
	}
	k := &walk{Walker: w, ctx: ctx, stated: stated, chain: &Chain{}}
	k.run()
	k.lookAgain()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	k.conclude()
	return k.chain, nil
}

// walk is the state of one Walk.
type walk struct {
	*Walker
	ctx    context.Context
	stated Stated
	chain  *Chain
	ids    []FileID // of chain.Layers, as far as they were opened

	// strayed is set once the chain is no longer the XML's own: what
	// follows is written anew.
	strayed bool
	// incomplete is set if the XML lacks something that the chain has.
	incomplete bool
}

// find adds a finding about the layer that was reached last.
func (k *walk) find(code Code, severity Severity, text, hint string) {
	k.findAt(max(len(k.chain.Layers)-1, 0), Finding{Code: code, Severity: severity, Text: text, Hint: hint})
}

func (k *walk) findAt(layer int, f Finding) {
	f.Layer = layer
	k.chain.Findings = append(k.chain.Findings, f)
}

func (k *walk) refuse(code Code, text, hint string) { k.find(code, Refuse, text, hint) }

func (k *walk) refused() bool {
	for _, f := range k.chain.Findings {
		if f.Severity == Refuse {
			return true
		}
	}
	return false
}

func (k *walk) run() {
	top := k.stated.Layers[0]
	if emptySource(top.Source) || chainless(top.Source) {
		k.chain.Verdict = Skipped
		k.chain.Layers = k.stated.Layers[:1:1]
		return
	}
	if k.stated.Mirror {
		k.chain.Layers = k.stated.Layers[:1:1]
		k.findAt(WholeDisk, Finding{Code: MirrorRunning, Severity: Refuse,
			Text: "the disk has a <mirror>: a block job is running, and its end will rewrite the chain",
			Hint: "wait for the job, or end it: virsh blockjob VM " + shellWord(k.stated.Target) + " --info"})
		return
	}
	if k.stated.Live && (top.Format.CanHaveBacking() || len(k.stated.Layers) > 1) {
		k.chain.Layers = k.stated.Layers[:1:1]
		k.findAt(WholeDisk, Finding{Code: LiveDump, Severity: Refuse,
			Text: "this is the XML of a running guest: libvirt has mixed what it detected by itself into what was stated",
			Hint: "use the stored definition: virsh dumpxml --inactive VM"})
		return
	}
	if what := k.stated.Inexpressible; what != "" {
		k.chain.Layers = k.stated.Layers
		if k.stated.Terminated && top.Format.CanHaveBacking() {
			k.find(SourceInexpressible, Warn, "the explicit chain goes on to "+what+": the disk is left as it is", "")
			return
		}
		k.refuse(SourceInexpressible, "the chain goes on to "+what+", which cannot be written here, and is not explicit to its end",
			"state the rest of it in the XML by hand: the <driver type>, and <backingStore/> at the end")
		return
	}
	if k.stated.Typeless {
		k.findAt(WholeDisk, Finding{Code: BackingTypeless, Severity: Warn,
			Text: "a <backingStore> has content but no type: libvirt reads it as the end of the chain"})
	}
	if _, local := LocalPath(top.Source); !local {
		k.topNotLocal(top)
		return
	}
	if !top.Format.CanHaveBacking() && top.From != Unstated {
		k.topWithoutBacking(top)
		return
	}
	k.follow(top)
}

// topNotLocal deals with a source that cannot be opened here. libvirt, if the
// format can have a backing image, leaves the chain of such a disk to QEMU,
// which probes (9.0).
func (k *walk) topNotLocal(top Layer) {
	what := Describe(top.Source)
	k.chain.Layers = k.stated.Layers[:1:1]
	switch {
	case top.From == Unstated:
		k.find(DriverTypeMissing, Warn, "no <driver type> is stated for "+what+": libvirt takes it as raw",
			"say so in the XML: <driver name='qemu' type='raw'/>")
	case !top.Format.CanHaveBacking():
	case k.stated.Terminated:
		k.chain.Layers = k.stated.Layers
		k.find(ChainUnverified, Warn, what+" is no local file: its explicit chain is taken as it is", "")
	default:
		k.refuse(SourceNotLocal, what+" is no local file: its header is not read, and its chain is not explicit",
			"state the whole chain in the XML, with <backingStore/> at its end")
	}
}

// topWithoutBacking deals with a top whose stated format ends the chain: it is
// explicit as it is. A raw one gets a look all the same, because libvirt also
// writes raw where nobody said anything.
func (k *walk) topWithoutBacking(top Layer) {
	if len(k.stated.Layers) > 1 {
		k.chain.Layers = k.stated.Layers[:1:1]
		if kept := k.stale(top); kept.Source != nil {
			k.chain.Layers = k.stated.Layers
		}
		return
	}
	if top.Format == probe.Raw {
		if l, err := k.look(k.ctx, top.Source, top.header()); err == nil {
			top.Header = l.header
			k.chain.Layers = append(k.chain.Layers, top)
			if top.header() == probe.Raw {
				k.noteMarks(top, l)
			} else if l.headerErr != nil {
				k.find(FormatMismatch, Warn, Describe(top.Source)+" is stated to be encrypted, but its header cannot be used: "+l.headerErr.Error(), "")
			}
			return
		}
	}
	k.chain.Layers = append(k.chain.Layers, top)
}

// follow walks from layer to layer until the chain ends or is refused.
func (k *walk) follow(layer Layer) {
	rec := record{}
	for layer.Source != nil && k.ctx.Err() == nil {
		if len(k.chain.Layers) == MaxLayers {
			k.refuse(ChainTooDeep, "the chain has more than "+strconv.Itoa(MaxLayers)+" layers, which libvirt refuses",
				"shorten it: virsh blockcommit, or qemu-img commit while the guest is off")
			return
		}
		if !k.visit(layer, rec) {
			return
		}
		layer, rec = k.next()
	}
}

// visit opens a layer, settles its format and reads its header. It reports
// whether the walk may go on.
func (k *walk) visit(layer Layer, rec record) bool {
	depth := len(k.chain.Layers)
	k.chain.Layers = append(k.chain.Layers, layer)
	path, local := LocalPath(layer.Source)
	if !local {
		return k.unverifiable(ChainUnverified, Describe(layer.Source)+" is no local file: it is not read", "")
	}
	if !strings.HasPrefix(path, "/") {
		k.refuse(SourceRelative, strconv.Quote(path)+" is a relative path, which QEMU reads from its own working directory",
			"name the image absolutely in the XML")
		return false
	}

	if layer.From == Unstated {
		if f, ok := k.trusted(path, layer.Source); ok {
			layer.Format, layer.From = f, Trust
			k.incomplete = true
		}
	}
	l, err := k.look(k.ctx, layer.Source, layer.header())
	if err != nil {
		return k.unopened(layer, err)
	}
	for i, id := range k.ids {
		if id == l.id {
			k.refuse(ChainLoop, strconv.Quote(path)+" is the same image as layer "+strconv.Itoa(i)+", "+
				Describe(k.chain.Layers[i].Source), "give the overlay its real backing image: qemu-img rebase -u")
			return false
		}
	}
	k.ids = append(k.ids, l.id)
	layer.Source = k.withType(layer, l.id.Block)

	switch layer.From {
	case Unstated:
		if depth == 0 {
			layer = k.assumeRaw(layer, l)
		} else {
			layer = k.judge(layer, l, rec)
		}
	case XML, Header:
		if f, ok := k.trusted(path, layer.Source); ok && f != layer.Format {
			k.refuse(TrustConflict, strconv.Quote(path)+" is stated to be "+string(f)+" by --trust, but "+
				map[Origin]string{XML: "the XML", Header: "its overlay"}[layer.From]+" says "+string(layer.Format),
				"drop the statement, or mend the one that is wrong")
		}
	}
	layer.Header = l.header
	k.chain.Layers[depth] = layer
	if k.refused() {
		return false
	}
	if layer.header() != probe.Raw {
		return k.readable(layer, l.headerErr) && k.expressible(layer)
	}
	if depth > 0 {
		k.noteMarks(layer, l)
	}
	return true
}

// withType gives a source that a header named the type that libvirt would give
// it, and reports one that the XML names with a type QEMU will refuse.
func (k *walk) withType(layer Layer, block bool) *libvirtxml.DomainDiskSource {
	path, _ := LocalPath(layer.Source)
	depth := len(k.chain.Layers) - 1
	if depth >= len(k.stated.Layers) || layer.Source != k.stated.Layers[depth].Source {
		return localSource(path, block)
	}
	if (layer.Source.Block != nil) != block {
		is := map[bool]string{true: "a block device", false: "a regular file"}[block]
		k.find(SourceType, Warn, strconv.Quote(path)+" is "+is+", but the XML has it as a source of another type, which QEMU refuses to open",
			"change the type in the XML")
	}
	return layer.Source
}

// lookAgain refuses a chain of which an image has been replaced since it was
// opened: what was found out is then of another file than the one QEMU opens.
func (k *walk) lookAgain() {
	for i, id := range k.ids {
		if k.refused() {
			return
		}
		src := k.chain.Layers[i].Source
		if now, err := k.Opener.Identify(k.ctx, src); err != nil || now != id {
			k.findAt(i, Finding{Code: ImageSwapped, Severity: Refuse, Text: Describe(src) + " was replaced while it was looked at",
				Hint: "run chainfix again when nothing moves images about"})
		}
	}
}

// unopened deals with a layer that could not be opened. An explicit chain that
// ends is left alone: nobody will guess anything, and here it cannot be told
// whether it is right.
func (k *walk) unopened(layer Layer, err error) bool {
	what := Describe(layer.Source)
	switch {
	case errors.Is(err, ErrNotImage), errors.Is(err, ErrNotReadable):
		k.refuse(NotAnImage, what+" is "+ErrNotImage.Error(), "")
		return false
	case errors.Is(err, fs.ErrNotExist):
		return k.unverifiable(ImageMissing, what+" does not exist", "bring the image back, or name the right one in the overlay: qemu-img rebase -u")
	}
	return k.unverifiable(ImageUnreadable, what+" cannot be read: "+strconv.Quote(reason(err)), "run chainfix as a user who may read the image")
}

func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// unverifiable ends the walk at a layer that cannot be read: with a warning if
// the XML states the whole rest of the chain, else with a refusal.
func (k *walk) unverifiable(code Code, text, hint string) bool {
	if k.strayed || !k.stated.Terminated {
		if code == ChainUnverified {
			code = SourceNotLocal
		}
		k.refuse(code, text, hint)
		return false
	}
	k.find(code, Warn, text+"; the rest of the explicit chain is taken as it is", hint)
	k.chain.Layers = append(k.chain.Layers, k.stated.Layers[len(k.chain.Layers):]...)
	return false
}

// readable turns what was wrong with a header into a finding.
func (k *walk) readable(layer Layer, err error) bool {
	if err == nil {
		return true
	}
	path, _ := LocalPath(layer.Source)
	name, f := strconv.Quote(path), string(layer.header())
	stated := " is stated to be " + f + " by " + map[Origin]string{XML: "the XML", Header: "its overlay", Trust: "--trust"}[layer.From]
	if layer.From == Probe {
		stated = " bears the signature of " + f
	}
	switch {
	case errors.Is(err, probe.ErrSignature) && layer.From != Probe:
		k.refuse(FormatMismatch, name+stated+", but its header is not", "look at it: chainfix probe "+shellWord(path))
	case isProbeError(err):
		k.refuse(ImageBroken, name+stated+", but its header cannot be used: "+err.Error(), "look at it: qemu-img check -f "+f+" "+shellWord(path))
	default:
		k.refuse(ImageUnreadable, name+" cannot be read: "+strconv.Quote(reason(err)), "")
	}
	return false
}

func isProbeError(err error) bool {
	var p *probe.Error
	return errors.As(err, &p)
}

// expressible refuses what a header asks for and no domain XML that every
// libvirt reads can say.
func (k *walk) expressible(layer Layer) bool {
	header := layer.Header
	// Mostly there is nothing to say, so nothing is quoted beforehand.
	name := func() string { return Describe(layer.Source) }
	path, _ := LocalPath(layer.Source)
	switch {
	case header.DataFile != nil:
		k.refuse(DataFile, name()+" keeps its data in another file, "+strconv.Quote(header.DataFile.Name)+
			", which libvirt before 10.10 cannot be told and QEMU opens on the header's word",
			"bring the data into one file: qemu-img convert -O qcow2")
	case len(header.Extents) > 0:
		k.refuse(ForeignExtents, name()+" keeps its data in other files, such as "+strconv.Quote(printable(header.Extents[0].Name))+
			", which no domain XML can name", "bring the data into one file: qemu-img convert -f "+string(layer.Format)+" -O qcow2")
	case header.Parent != nil:
		k.refuse(Differencing, name()+" is a differencing image: what it lacks is in its parent"+parentName(header)+
			", which QEMU does not look for", "merge it into its parent with the program that made it")
	case header.Encryption == probe.AES:
		k.refuse(Encrypted, name()+" has the old AES encryption, which QEMU no longer runs guests on",
			"convert it: qemu-img convert, with the secret")
	case header.Encryption == probe.Plain && layer.Source.Encryption != nil:
		k.find(Encrypted, Warn, "the XML has a secret for "+name()+", which is not encrypted: QEMU refuses that", "remove the <encryption> element")
		return true
	case header.Encryption != probe.Plain && layer.Source.Encryption == nil:
		k.refuse(Encrypted, name()+" is encrypted, and the XML has no secret for it",
			"state the secret: <encryption format='luks'> with its <secret> in the <source>")
	case header.Dirty && layer.Format == probe.VHDX:
		k.find(ImageBroken, Warn, name()+" was not closed: QEMU opens it read-only, as backing images are, only if its log is empty",
			"let QEMU replay the log: qemu-img check -r all "+shellWord(path))
		return true
	case header.Corrupt:
		k.find(ImageBroken, Warn, name()+" is marked corrupt: QEMU opens it read-only", "mend it: qemu-img check -r all "+shellWord(path))
		return true
	default:
		return true
	}
	return false
}

// noteMarks reports a raw image that looks like something else. It is believed,
// since a guest may store images on its disk, but should be known: where
// somebody recorded the format, for the record; at the top, where libvirt
// writes raw for those who said nothing, and where it was probed, as a warning.
func (k *walk) noteMarks(layer Layer, l *look) {
	marks := l.oddities()
	if len(marks) == 0 {
		return
	}
	severity, is, hint := Info, "is stated to be raw", ""
	switch {
	case layer.From == Probe:
		severity, is = Warn, "is raw to QEMU and libvirt"
	case len(k.chain.Layers) == 1:
		severity = Warn
		if name := probe.Format(marks[0]).LibvirtName(); name != "" {
			hint = "if the XML is wrong, say so there: <driver name='qemu' type='" + name + "'/>"
		}
	}
	k.find(RawWithSignature, severity, Describe(layer.Source)+" "+is+" and bears the signature of "+
		strings.Join(marks, " and ")+": the guest sees these bytes as they are", hint)
}

func parentName(h *probe.Header) string {
	if h.Parent.Name == "" {
		return ""
	}
	return " " + strconv.Quote(printable(h.Parent.Name))
}

// conclude settles the verdict.
func (k *walk) conclude() {
	c := k.chain
	switch {
	case k.refused():
		c.Verdict = Refused
	case c.Verdict == Skipped:
	case k.strayed || k.incomplete:
		c.Verdict = Fixable
	default:
		c.Verdict = Explicit
	}
	if c.Verdict == Fixable && k.stated.Bus == "sd" {
		k.sdBus()
	}
}

// sdBus: libvirt throws the explicit chain of an SD card away and detects it
// again, because such disks still use -drive (9.0, 11.3). Only what the
// headers record helps.
func (k *walk) sdBus() {
	c := k.chain
	for i, layer := range c.Layers[1:] {
		if layer.From == Header {
			continue
		}
		overlay := c.Layers[i]
		c.Verdict = Refused
		k.findAt(i+1, Finding{Code: SDBus, Severity: Refuse,
			Text: "libvirt ignores the explicit chain of a disk on the sd bus, and no header records the format of " + Describe(layer.Source),
			Hint: "record it in the overlay: " + rebaseCommand(overlay, layer.Format)})
		return
	}
	if len(c.Layers) == 1 && k.stated.Layers[0].From == Unstated {
		return // only the <driver type> is missing, which counts on every bus
	}
	c.Verdict = Explicit
	c.Layers = k.stated.Layers
	k.findAt(WholeDisk, Finding{Code: SDBus, Severity: Info,
		Text: "libvirt ignores the explicit chain of a disk on the sd bus; its headers record every format, so nothing is guessed"})
}
