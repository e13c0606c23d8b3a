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

// Scan examines the guests of a host: what the definition of each states, what it
// should state, and what becomes of the guest if nothing is changed.
//
// What one guest states of an image counts for all, so the first report comes once all
// guests are read. Many are worked on at the same time; an image that several have is
// opened once. Of the guests' definitions 256 MiB are remembered; those for which that
// is not enough are read again for their report.
type Scan struct {
	Inventory Inventory
	Opener    storage.Opener  // nil means [storage.FileOpener]
	Requests  *limit.Requests // what bounds how images are asked for; nil bounds nothing
	Volumes   storage.Volumes // nil means the inventory's own pools
	Policy    chain.Policy
	// Met, which may be nil, notes which statements of the policy are about an
	// image that a reported guest has.
	Met *chain.Met
	// Targets are the libvirts to predict for. None means the inventory's
	// own, or if that is not known, the policy's target, if there is one. The
	// inventory's libvirt has the QEMU of the inventory, unless it is with another.
	Targets []libvirt.Pair
	// Names are the guests to report on; none means all. Every definition
	// counts, whether it is reported on or not.
	Names []string
	// ApplyFlags are the flags that host apply needs, in a command that a finding
	// advises, to be about the same libvirt and by the same policy, each with a space
	// after it and quoted for a shell.
	ApplyFlags string
	// Warn, which may be nil, is called with what could not be read and concerns
	// no reported guest: a pool, the metadata of a snapshot, a guest that is not
	// in Names.
	Warn func(name string, err error)
	// OnRead, which may be nil, is called with the name of each guest that has a
	// definition once that is read: with all of them before the first report.
	OnRead func(guest string)
}

// Report is what a scan finds out about one guest.
type Report struct {
	Guest *Guest
	// Named says that the guest is one of [Scan.Names], and not only one of
	// all.
	Named bool
	// Err says why nothing is known of the guest; then Examination is nil.
	Err         error
	Examination *xmlfix.Examination
	// Findings are about the guest as a whole.
	Findings []finding.Finding
	// Targets are the libvirts that the predictions are for.
	Targets []libvirt.Pair
	// Predictions are, for each disk, what becomes of it as it is, target by
	// target in the order of Targets. There are none where the definition
	// could not be read.
	Predictions [][]need.Prediction
	// Needs are, for each disk, whether it needs an explicit chain: by the
	// Predictions, or where there are no Targets by those for [need.AnyLibvirt].
	Needs []predict.Need
	// Facts are, for each disk whose chain is refused, what other disks say of the image at
	// which its walk ended, if that was opened; for any other disk nothing.
	Facts []chain.HostFacts
	// Images remembers what images showed. To ask it for more is another request.
	Images *image.Cache
	// Stored are the snapshots, checkpoints and saved states of the guest in which a chain
	// is not explicit, or is not that of the images.
	Stored []*StoredReport
}

// Verdict is that of the guest's definition: of its worst disk.
func (r *Report) Verdict() chain.Verdict {
	if r.Err != nil {
		return chain.Refused
	}
	return r.Examination.Verdict()
}

// HeldBack says why the guest is not to be changed, although its chains may be
// fixable: the error wraps [ErrGuestBusy], or [ErrByName] for one that is not named, and
// comes with the finding that says so. It is nil where nothing keeps the guest from
// being changed, or nothing in it is to be.
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

// Reports yields a report on each guest. An error without a report comes last: the
// inventory or ctx has ended. Where a name in Names is no guest's, such an error is
// all that comes, and wraps [ErrNoGuest].
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

// reportOrEnd is a report, or why there is none and nothing more comes.
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

// walker returns the walker of a scan, which knows nothing yet of what disks state.
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

// prepare reads every definition of the host and returns the walker that knows what
// they say, and the guests again.
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

// PredictedTargets are the libvirts that the reports predict for: see [Scan.Targets]. There are
// none where nobody knows one.
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

// current is the libvirt that starts the guests now; the zero Pair if it is not known.
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
			disk.Stated.Transient = false // its overlay is in use, and goes when the guest ends
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

// factsOf returns what other disks say of the image at which a refused chain ends, if that was
// opened: nothing is asked for one that may not answer.
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

// applyCommand is the command that applies a fix to a guest by name. Each of the flags has a
// space after it.
func applyCommand(g *Guest, flags string) finding.Remedy {
	return finding.Command("chainfix host apply " + flags + finding.GuestWord(g.Name))
}

// guestFindings are what keeps a guest from being changed: its definition may not count
// at its next start, or is about to be rewritten. applyFlags are [Scan.ApplyFlags].
func guestFindings(g *Guest, applyFlags string) []finding.Finding {
	var found []finding.Finding
	vm := finding.GuestWord(g.Name)
	if g.ManagedSave {
		found = append(found, finding.Finding{Code: finding.ManagedSave, Severity: finding.Warn, Layer: finding.WholeDisk,
			Text:   "the guest has a managed save image: its next start is from that, with the XML that is in it",
			Remedy: finding.Say("start the guest and shut it down; that XML is mended by %s", applyCommand(g, applyFlags+"--saved "))})
	}
	if g.BlockJob {
		found = append(found, finding.Finding{Code: finding.BlockJob, Severity: finding.Warn, Layer: finding.WholeDisk,
			Text: "a block job runs on one of the guest's disks: its end will rewrite the definition",
			// A copy and an active commit run on at 100 % until somebody ends them.
			Remedy: finding.Say("wait for its end, or where it stays at 100 %%, switch to its result (%s); or abort it: %s; how far it is: %s",
				finding.Command("virsh blockjob "+vm+" DISK --pivot"), finding.Command("virsh blockjob "+vm+" DISK --abort"), finding.Command("virsh blockjob "+vm+" DISK --info"))})
	}
	return found
}
