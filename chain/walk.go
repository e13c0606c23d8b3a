package chain

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// MaxLayers is the maximum number of images in a chain. libvirt 9.0 refuses
// deeper ones as self-referential.
const MaxLayers = 200

// ErrNoTop is returned for a [Stated] without layers.
var ErrNoTop = errors.New("stated chain has no top layer")

// Walker walks backing chains; see [Walker.Walk]. The zero Walker reads local
// files and devices, with the zero [Policy]. A Walker is safe for concurrent
// use; its fields must not change after the first use. It caches which files
// its policy's statements name: make a new Walker for each run.
type Walker struct {
	// Images opens images and caches what was read. Walkers may share it; nil
	// means a new cache of local files and devices.
	Images  *image.Cache
	Volumes storage.Volumes // finds the volumes of storage pools; nil finds none
	// FindVolumes asks a libvirt which backing images are volumes. If nil, every
	// backing image from a header is written with its path.
	FindVolumes VolumeFinder
	Policy      Policy // the operator's decisions
	// Evidence is what the other disks of the host, or of the document, state;
	// nil means no other disks.
	Evidence *Evidence
	// Met records which statements of the policy matched an image. The walkers of
	// a run share it; it may be nil.
	Met *Met

	// Preliminary says that the caller will walk the same disks again with
	// evidence. Only that second walk checks whether images were replaced since
	// they were opened.
	Preliminary bool

	// remembers: see [Walker.CachedOnly]; it is set as soon as something was not
	// cached.
	remembers *atomic.Bool

	once    sync.Once
	images  *image.Cache
	trust   *statementIndex
	folders *resolvedFolders
}

// prepare initialises the unexported fields.
func (w *Walker) prepare() {
	w.once.Do(func() {
		if w.images = w.Images; w.images == nil {
			w.images = image.NewCache(nil)
		}
		w.trust, w.folders = indexStatements(w.Policy.Trust), new(resolvedFolders)
	})
}

// WithEvidence returns a Walker like w with evidence: for a second walk, after
// the chains of all disks were added to the evidence. The two share their
// caches.
func (w *Walker) WithEvidence(evidence *Evidence) *Walker {
	w.prepare()
	knowing := &Walker{Images: w.images, Volumes: w.Volumes, FindVolumes: w.FindVolumes, Policy: w.Policy, Evidence: evidence, Met: w.Met}
	knowing.once.Do(func() { knowing.images, knowing.trust, knowing.folders = w.images, w.trust, w.folders })
	return knowing
}

// CachedOnly returns a Walker for a prediction that reads nothing which w has
// not read: for anything else its Look and Identify return
// [image.ErrNotCached]. missed reports whether they did, so that a prediction
// which reads the rest may differ.
func (w *Walker) CachedOnly() (remembering *Walker, missed func() bool) {
	r := w.WithEvidence(w.Evidence)
	r.remembers = new(atomic.Bool)
	return r, r.remembers.Load
}

// noting records that a Walker was asked for something that is not cached.
func (w *Walker) noting(err error) error {
	if errors.Is(err, image.ErrNotCached) {
		w.remembers.Store(true)
	}
	return err
}

// Cache returns the image cache that the Walker uses.
func (w *Walker) Cache() *image.Cache {
	w.prepare()
	return w.images
}

// Identify identifies the file of a source; see [image.Cache.Identify].
// Package predict uses it.
func (w *Walker) Identify(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.FileID, error) {
	if w.remembers != nil {
		id, err := w.Cache().IdentifyCached(src)
		return id, w.noting(err)
	}
	return w.Cache().Identify(ctx, src)
}

// Look returns the view of an image as the format claim, or only its
// signatures if claim is ""; see [image.Cache]. Package predict uses it, so a
// walk and a prediction together read an image once.
func (w *Walker) Look(ctx context.Context, src *libvirtxml.DomainDiskSource, claim probe.Format) (*image.View, error) {
	w.prepare()
	if w.remembers != nil {
		view, err := w.images.LookCached(src, claim)
		return view, w.noting(err)
	}
	return w.images.Look(ctx, src, claim)
}

// Locate returns layer with Located set, if it is a volume. The error says
// that no pool has the volume; such an image is not read. Package predict uses
// it.
func (w *Walker) Locate(ctx context.Context, layer Layer) (Layer, error) {
	return locate(ctx, w.Volumes, layer)
}

func locate(ctx context.Context, volumes storage.Volumes, layer Layer) (Layer, error) {
	if layer.Source == nil || layer.Source.Volume == nil || layer.Located != nil {
		return layer, nil
	}
	if volumes == nil {
		return layer, errNoPools
	}
	at, err := volumes.Locate(ctx, layer.Source)
	if err != nil {
		return layer, err
	}
	located := *at
	located.Slices, located.Encryption = layer.Source.Slices, layer.Source.Encryption
	layer.Located = &located
	return layer, nil
}

var errNoPools = errors.New("no storage pool is known")

// Walk determines the chain of one disk. Problems of the chain or its images
// are findings of a refused Chain; Walk returns an error only if ctx has
// ended, or for a Stated without a top ([ErrNoTop]).
func (w *Walker) Walk(ctx context.Context, stated Stated) (*Chain, error) {
	if len(stated.Layers) == 0 {
		return nil, ErrNoTop
	}
	w.prepare()
	return limit.Row(ctx, w.images.Requests(), func(ctx context.Context) (*Chain, error) {
		k := &walk{Walker: w, ctx: ctx, stated: stated, chain: &Chain{}}
		k.run()
		k.noteStated()
		k.recheckIdentity()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		k.conclude()
		return k.chain, nil
	})
}

// walk is the state of one Walk.
type walk struct {
	*Walker
	ctx    context.Context
	stated Stated
	chain  *Chain
	opened []opened // the layers that were opened

	// onlyXML says for each layer of the chain whether only the XML's
	// <backingStore> states its format. libvirt writes guesses there: the image
	// is opened as that format, but its backing image is not followed.
	onlyXML []bool
	// xmlFormat is the format that the XML states for the next layer, if it is
	// ignored: see withoutXMLFormat.
	xmlFormat probe.Format

	// rewriting is set as soon as the chain differs from the XML's: the layers
	// from there on are rewritten.
	rewriting bool
	// incomplete is set if the XML lacks something that the chain has.
	incomplete bool

	// kept says that the policy keeps the XML's chain; valid if keptKnown is set.
	kept, keptKnown bool
}

// opened is a layer of the chain that was opened.
type opened struct {
	layer int
	id    image.ID
}

// find adds a finding about the last layer.
func (k *walk) find(code finding.Code, severity finding.Severity, text string, remedy finding.Remedy) {
	k.findAt(max(len(k.chain.Layers)-1, 0), finding.Finding{Code: code, Severity: severity, Text: text, Remedy: remedy})
}

// note is find without a remedy.
func (k *walk) note(code finding.Code, severity finding.Severity, text string) {
	k.find(code, severity, text, finding.Remedy{})
}

// findAt adds a finding about a layer. Its remedy gets that layer's image,
// unless it has another.
func (k *walk) findAt(layer int, f finding.Finding) {
	f.Layer = layer
	if r := &f.Remedy; !r.IsZero() && r.Image == "" && layer >= 0 && layer < len(k.chain.Layers) {
		r.Image = storage.ShownName(k.chain.Layers[layer].At())
	}
	k.chain.Findings = append(k.chain.Findings, f)
}

// refuse adds a finding that refuses the disk.
func (k *walk) refuse(code finding.Code, text string, remedy finding.Remedy) {
	k.find(code, finding.Refuse, text, remedy)
}

// refused reports whether a finding refuses the disk.
func (k *walk) refused() bool {
	for _, f := range k.chain.Findings {
		if f.Severity == finding.Refuse {
			return true
		}
	}
	return false
}

// run walks the chain from its top, unless the XML itself rules that out.
func (k *walk) run() {
	top := k.stated.Layers[0]
	if located, err := k.Locate(k.ctx, top); err == nil {
		top = located
	}
	if storage.IsEmpty(top.Source) || storage.IsChainless(top.At(), top.Format) {
		k.chain.Verdict = Skipped
		k.chain.Layers = k.stated.Layers[:1:1]
		return
	}
	if k.stated.Mirror {
		job := "virsh blockjob " + k.guest() + " " + finding.ShellWord(k.stated.Target)
		k.chain.Layers = k.stated.Layers[:1:1]
		k.findAt(finding.WholeDisk, finding.Finding{Code: finding.MirrorRunning, Severity: finding.Refuse,
			Text:   "the disk has a <mirror>: a block job is running, which changes the chain when it ends",
			Remedy: finding.Say("wait for the job, or end it: %s, %s", finding.Command(job+" --info"), finding.Command(job+" --abort"))})
		return
	}
	if k.stated.Live && (top.Format.CanHaveBacking() || len(k.stated.Layers) > 1) {
		k.chain.Layers = k.stated.Layers[:1:1]
		k.findAt(finding.WholeDisk, finding.Finding{Code: finding.LiveDump, Severity: finding.Refuse,
			Text:   "this XML comes from a running guest: libvirt has mixed formats that it detected with those that were stated",
			Remedy: finding.Say("use the stored definition: %s", finding.Command("virsh dumpxml --inactive --security-info "+k.guest()))})
		return
	}
	if what := k.stated.Inexpressible; what != "" {
		k.chain.Layers = k.stated.Layers
		if k.stated.Terminated && top.Format.CanHaveBacking() {
			k.note(finding.SourceInexpressible, finding.Warn, "the explicit chain continues with "+what+": the disk stays unchanged")
			k.checkStated(0)
			return
		}
		if k.stated.Terminated && top.From != Unstated {
			k.refuse(finding.SourceInexpressible, "the chain continues with "+what+", but "+string(top.Format)+" cannot have a backing image",
				finding.Say("remove the <backingStore> from the XML: %s", k.edit()))
			return
		}
		k.refuse(finding.SourceInexpressible, "the chain continues with "+what+", which chainfix cannot write, and is not explicit to its end",
			finding.Say("state the rest of it in the XML by hand: the <driver type>, and <backingStore/> at the end"))
		return
	}
	if k.stated.Typeless {
		k.findAt(finding.WholeDisk, finding.Finding{Code: finding.BackingTypeless, Severity: finding.Warn,
			Text: "a <backingStore> has content but no type: libvirt treats it as the end of the chain"})
	}
	switch {
	case top.From == Unstated:
		k.topWithoutType(top)
	case top.Format.CanHaveBacking():
		k.follow(top)
	case !k.topContradicted(top):
		k.topWithoutBacking(top)
	}
}

// follow walks from layer to layer until the chain ends or is refused.
func (k *walk) follow(layer Layer) {
	rec := storage.Record{}
	for layer.Source != nil && k.ctx.Err() == nil {
		if len(k.chain.Layers) == MaxLayers {
			k.refuse(finding.ChainTooDeep, "the chain has more than "+strconv.Itoa(MaxLayers)+" layers, which libvirt refuses",
				finding.Say("shorten it: %s, or qemu-img commit while the guest is off", finding.Command("virsh blockcommit "+k.guest()+" "+finding.ShellWord(k.stated.Target))))
			return
		}
		if !k.visit(layer, rec) {
			return
		}
		layer, rec = k.next()
	}
}

// recheckIdentity refuses a chain if one of its images was replaced since it
// was opened: QEMU would open another file than the walk read.
func (k *walk) recheckIdentity() {
	if k.refused() || k.Preliminary {
		return
	}
	images := make([]image.Opened, len(k.opened))
	for i, o := range k.opened {
		images[i] = image.Opened{Source: k.chain.Layers[o.layer].At(), File: o.id.File}
	}
	i, err := k.images.FirstReplaced(k.ctx, images)
	if i < 0 || k.ctx.Err() != nil {
		return
	}
	at := k.opened[i].layer
	what := storage.Describe(k.chain.Layers[at].Source)
	if f, ok := unanswered(what, err); ok {
		k.findAt(at, f)
		return
	}
	k.findAt(at, finding.Finding{Code: finding.ImageSwapped, Severity: finding.Refuse, Text: what + " was replaced while it was examined", Remedy: tryAgain})
}

// conclude sets the verdict.
func (k *walk) conclude() {
	c := k.chain
	for i, only := range k.onlyXML {
		if only && i < len(c.Layers) {
			c.Layers[i].XMLAlone = true
		}
	}
	switch {
	case k.refused():
		c.Verdict = Refused
	case c.Verdict == Skipped:
	case k.rewriting || k.incomplete:
		c.Verdict = Fixable
	default:
		c.Verdict = Explicit
	}
	k.concludeForTarget()
	k.markForReview()
	if c.Verdict == Fixable {
		k.nameVolumes()
	}
}

// concludeForTarget changes the verdict if the target libvirt ignores or does
// not understand the explicit chain.
func (k *walk) concludeForTarget() {
	c := k.chain
	code, reason := k.chainIgnored()
	for i := range c.Findings {
		// An ignored chain has no effect on the guest.
		c.Findings[i].Misopens = c.Findings[i].Misopens && code == ""
	}
	switch {
	case c.Verdict != Fixable && c.Verdict != Explicit:
	case code != "":
		k.relyOnHeaders(code, reason)
	case c.Verdict == Fixable, k.Policy.Target.Known():
		if k.meetTarget(); k.refused() {
			c.Verdict = Refused
		}
	}
}
