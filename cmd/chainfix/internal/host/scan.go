package host

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/chain/pools"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/need"
	"github.com/chainfix/chainfix/xmlfix"
)

// Scan examines the guests of a host: what each definition states, what it
// should state, and what happens to the guest if nothing is changed.
//
// One guest's statements about an image count for all guests, so all
// definitions are read before the first report. Guests are examined
// concurrently; an image of several guests is opened once. Up to 256 MiB of
// definitions are kept; the others are read again for their report.
type Scan struct {
	Inventory Inventory
	Opener    storage.Opener  // nil means [storage.FileOpener]
	Requests  *limit.Requests // limits the requests for images; nil means no limits
	Volumes   storage.Volumes // nil means the inventory's own pools
	Policy    chain.Policy
	// Met, which may be nil, records which statements of the policy matched an
	// image of a reported guest.
	Met *chain.Met
	// Targets are the libvirts to predict for. None means the inventory's own, or
	// if that is not known, the policy's target, if there is one. The inventory's
	// libvirt gets the inventory's QEMU, unless the target has one.
	Targets []libvirt.Pair
	// Names are the guests to report on; none means all. All definitions are
	// evidence, whether they are reported or not.
	Names []string
	// ApplyFlags are the flags that host apply needs for the same libvirt and
	// policy, in the commands of hints, quoted for a shell, each followed by a
	// space.
	ApplyFlags string
	// Warn, which may be nil, is called for what could not be read outside of the
	// reported guests' definitions: a pool, the metadata of a snapshot, a guest
	// that is not in Names.
	Warn func(name string, err error)
	// OnRead, which may be nil, is called with the name of each guest with a
	// definition after that was read: with all of them before the first report.
	OnRead func(guest string)
}

// Report is the result of a scan for one guest.
type Report struct {
	Guest *Guest
	// Named says that the guest is one of [Scan.Names].
	Named bool
	// Err says why the guest could not be examined; then Examination is nil.
	Err         error
	Examination *xmlfix.Examination
	// Findings are about the guest as a whole.
	Findings []finding.Finding
	// Targets are the libvirts that the predictions are for.
	Targets []libvirt.Pair
	// Predictions are, for each disk, what happens if it stays unchanged, for
	// each of the Targets. They are empty if the definition could not be read.
	Predictions [][]need.Prediction
	// Needs are, for each disk, whether it needs an explicit chain: from the
	// Predictions or, without Targets, from those for [need.AnyLibvirt].
	Needs []predict.Need
	// Facts are, for each disk with a refused chain, what other disks state about
	// the image at which its walk ended, if that was opened; zero for other
	// disks.
	Facts []chain.HostFacts
	// Images is the cache of images. Anything that it does not have needs another
	// request.
	Images *image.Cache
	// Stored are the snapshots, checkpoints and saved states of the guest in
	// which a chain is not explicit, or differs from the image headers.
	Stored []*StoredReport
}

// Verdict returns the verdict of the guest's definition: that of its worst
// disk.
func (r *Report) Verdict() chain.Verdict {
	if r.Err != nil {
		return chain.Refused
	}
	return r.Examination.Verdict()
}

// HeldBack says why the guest must not be changed, although its chains may be
// fixable: the error wraps [ErrGuestBusy], or [ErrByName] for a guest that is
// not named, and comes with the finding that says so. It is nil if the guest
// may be changed or needs no change.
func (r *Report) HeldBack() (finding.Finding, error) {
	for _, f := range r.Findings {
		if f.Code == finding.ManagedSave || f.Code == finding.BlockJob {
			return f, fmt.Errorf("%w: %s", ErrGuestBusy, f.Text)
		}
	}
	if r.Named || r.Verdict() != chain.Fixable {
		return finding.Finding{}, nil
	}
	for _, f := range r.Findings {
		if f.ByName {
			return f, fmt.Errorf("%w: %s", ErrByName, f.Text)
		}
	}
	return byNameOnly(r.Examination)
}

// Reports yields a report on each guest. An error without a report is the last
// element: the inventory or ctx has ended. If a name in Names is not a guest,
// the only element is such an error that wraps [ErrNoGuest].
func (s *Scan) Reports(ctx context.Context) iter.Seq2[*Report, error] {
	return func(yield func(*Report, error) bool) {
		w, guests, err := s.prepare(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		asked := func(yield func(foundGuest) bool) {
			for g := range guests {
				if (g.Guest == nil || s.asked(g.Name)) && !yield(g) {
					return
				}
			}
		}
		for r := range atOnce(ctx, s.Requests.Jobs(), asked, func(ctx context.Context, g foundGuest) reportOrEnd { return s.report(ctx, w, g) }) {
			if !yield(r.report, r.err) || r.report == nil {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(nil, context.Cause(ctx))
		}
	}
}

// reportOrEnd is a report, or the error that ends the reports.
type reportOrEnd struct {
	report *Report
	err    error
}

func (s *Scan) report(ctx context.Context, w *chain.Walker, g foundGuest) reportOrEnd {
	if g.Guest == nil {
		return reportOrEnd{err: g.err}
	}
	r := &Report{Guest: g.Guest, Named: len(s.Names) > 0, Err: g.err, Targets: s.PredictedTargets(), Images: w.Cache()}
	if r.Err == nil {
		if err := s.examine(ctx, w, r); err != nil {
			return reportOrEnd{err: err}
		}
	}
	return reportOrEnd{report: r}
}

// asked says whether to report on a guest.
func (s *Scan) asked(guest string) bool {
	return len(s.Names) == 0 || slices.Contains(s.Names, guest)
}

// walker returns the walker of a scan, without evidence.
func (s *Scan) walker(ctx context.Context) (*chain.Walker, error) {
	opener, volumes := s.Opener, s.Volumes
	if opener == nil {
		opener = storage.FileOpener{}
	}
	if volumes == nil {
		own := &pools.Pools{Requests: s.Requests}
		for pool, err := range s.Inventory.Pools(ctx) {
			if pool == nil {
				return nil, err
			}
			if err == nil {
				err = own.Add(pool.XML)
			}
			if err != nil {
				s.warn(pool.Name, err)
			}
		}
		volumes = own
	}
	policy := s.Policy
	if !policy.Target.Known() {
		policy.Target = s.Inventory.Version()
	}
	images := image.NewCache(opener)
	images.SetRequests(s.Requests)
	return &chain.Walker{Images: images, Volumes: volumes, Policy: policy, Preliminary: true}, nil
}

func (s *Scan) warn(name string, err error) {
	if s.Warn != nil {
		s.Warn(name, err)
	}
}

// prepare reads every definition of the host and returns the walker with their
// evidence, and the guests again.
func (s *Scan) prepare(ctx context.Context) (*chain.Walker, iter.Seq[foundGuest], error) {
	w, err := s.walker(ctx)
	if err != nil {
		return nil, nil, err
	}
	missing := slices.Clone(s.Names)
	all := &collector{jobs: s.Requests.Jobs(), walker: w, evidence: chain.NewEvidence(w.Images, w.Volumes), warn: s.warn}
	err = all.collect(ctx, s.Inventory, func(guest string, err error) {
		if s.OnRead != nil {
			s.OnRead(guest)
		}
		if err != nil && !s.asked(guest) {
			// Its report will not say so.
			s.warn(guest, err)
		}
		missing = slices.DeleteFunc(missing, func(name string) bool { return name == guest })
	})
	if err != nil {
		return nil, nil, err
	}
	if len(missing) > 0 {
		return nil, nil, fmt.Errorf("%w: %q", ErrNoGuest, missing[0])
	}
	w = w.WithEvidence(all.evidence)
	w.Met = s.Met
	if finder, connected := s.Inventory.(chain.VolumeFinder); connected {
		w.FindVolumes = &foundVolumes{VolumeFinder: finder, known: make(map[[2]string]foundVolume)}
	}
	return w, all.guests(ctx, s.Inventory), nil
}

// PredictedTargets are the libvirts that the reports predict for: see
// [Scan.Targets]. It is empty if no version is known.
func (s *Scan) PredictedTargets() []libvirt.Pair {
	if own := s.current().Libvirt; len(s.Targets) == 0 && own.Known() {
		return []libvirt.Pair{{Libvirt: own}}
	}
	return s.Targets
}

// withOwn gives a target that is the inventory's libvirt its QEMU.
func (s *Scan) withOwn(target libvirt.Pair) libvirt.Pair {
	if !target.QEMU.Known() && target.Libvirt == s.Inventory.Version() {
		target.QEMU = s.Inventory.QEMU()
	}
	return target
}

// current returns the libvirt that starts the guests now; the zero Pair if
// unknown.
func (s *Scan) current() libvirt.Pair {
	return s.withOwn(libvirt.Pair{Libvirt: cmp.Or(s.Inventory.Version(), s.Policy.Target)})
}

func (s *Scan) examine(ctx context.Context, w *chain.Walker, r *Report) error {
	name := r.Guest.File
	if name == "" {
		name = r.Guest.Name
	}
	var err error
	if r.Examination, err = xmlfix.Examine(ctx, w, name, r.Guest.Definition); err != nil {
		return err
	}
	r.Findings = guestFindings(r.Guest, s.ApplyFlags)
	for _, disk := range r.Examination.Disks {
		if r.Guest.Active {
			disk.Stated.Transient = false // its overlay is in use, and is removed when the guest ends
		}
		if disk.Chain != nil && disk.Chain.Verdict != chain.Skipped {
			if f, found := predict.LeftoverFinding(ctx, w, disk.Stated); found {
				r.Findings = append(r.Findings, f)
			}
		}
		if err := s.predict(ctx, w, r, disk); err != nil {
			return err
		}
		r.Facts = append(r.Facts, factsOf(ctx, w, disk))
	}
	return s.stored(ctx, w, r)
}

// factsOf returns what other disks state about the image at which a refused
// chain ends, if that was opened: others may not answer.
func factsOf(ctx context.Context, w *chain.Walker, disk xmlfix.DiskExamination) chain.HostFacts {
	if disk.Chain == nil || disk.Chain.Verdict != chain.Refused || len(disk.Chain.Layers) == 0 {
		return chain.HostFacts{}
	}
	last := disk.Chain.Layers[len(disk.Chain.Layers)-1]
	if last.Image == nil {
		return chain.HostFacts{}
	}
	return w.FactsOf(ctx, last, chain.DiskName{Guest: disk.Stated.Guest, Target: disk.Stated.Target})
}

// applyCommand returns the command that applies a fix to a guest by name. Each
// of the flags is followed by a space.
func applyCommand(g *Guest, flags string) finding.Remedy {
	return finding.Command("chainfix host apply " + flags + finding.GuestWord(g.Name))
}

// guestFindings returns the findings that keep a guest from being changed: its
// next start does not use the definition, or libvirt is about to rewrite it.
// applyFlags are [Scan.ApplyFlags].
func guestFindings(g *Guest, applyFlags string) []finding.Finding {
	var found []finding.Finding
	vm := finding.GuestWord(g.Name)
	if g.ManagedSave {
		found = append(found, finding.Finding{Code: finding.ManagedSave, Severity: finding.Warn, Layer: finding.WholeDisk,
			Text:   "the guest has a managed save image: its next start restores that, with the XML in it",
			Remedy: finding.Say("start the guest and shut it down; or fix that XML: %s", applyCommand(g, applyFlags+"--saved "))})
	}
	if g.BlockJob {
		found = append(found, finding.Finding{Code: finding.BlockJob, Severity: finding.Warn, Layer: finding.WholeDisk,
			Text: "a block job runs on one of the guest's disks, which rewrites the definition when it ends",
			// A copy and an active commit stay at 100 % until somebody ends them.
			Remedy: finding.Say("wait until it ends, or if it stays at 100 %%, switch to its result (%s); or abort it: %s; its progress: %s",
				finding.Command("virsh blockjob "+vm+" DISK --pivot"), finding.Command("virsh blockjob "+vm+" DISK --abort"), finding.Command("virsh blockjob "+vm+" DISK --info"))})
	}
	return found
}
