package rebase

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/ordered"
	"github.com/chainfix/chainfix/probe"
)

// decision is the script's part for an overlay: a command, or a comment.
type decision struct {
	*overlay
	path    string
	cluster uint64 // bytes of its first cluster
	sum     [sha256.Size]byte
	format  probe.Format // "" for a comment

	leftOut  string // why there is no command; "" for a question
	question string
}

// maxHeads bounds the first clusters that are in memory at the same time, in bytes.
const maxHeads = 64 << 20

// decisions yields the decision for each overlay, until ctx ends. Overlays are
// read concurrently.
func (p *Plan) decisions(ctx context.Context) iter.Seq[decision] {
	bounds := ordered.Bounds{AtOnce: p.requests.Jobs(), Items: 1024, Bytes: maxHeads}
	return ordered.Map(ctx, bounds, slices.Values(p.overlays), func(ctx context.Context, take ordered.Take, o *overlay) decision {
		if err := take(int64(o.layer.Header.ClusterSize)); err != nil {
			return decision{overlay: o, leftOut: err.Error()}
		}
		return p.decide(ctx, o)
	})
}

// decide returns the decision for an overlay.
func (p *Plan) decide(ctx context.Context, o *overlay) decision {
	d := decision{overlay: o}
	if d.leftOut = o.whyUnfit(); d.leftOut != "" {
		return d
	}
	d.path, _ = o.layer.LocalPath()
	format, question := p.formatFor(o)
	if question != "" {
		d.question = question
		return d
	}
	if !format.IsAgreedName() {
		d.leftOut = "its backing image is " + string(format) + ", which QEMU and libvirt call by different names: only the XML can state it"
		return d
	}
	err := p.names(ctx, o)
	if err == nil {
		err = p.readHead(ctx, &d)
	}
	if err != nil {
		d.leftOut = err.Error()
	} else {
		d.format = format
	}
	return d
}

// whyUnfit says why the scripts must not change the header of an overlay; ""
// if they may.
func (o *overlay) whyUnfit() string {
	header := o.layer.Header
	_, local := o.layer.LocalPath()
	_, part := storage.SliceOf(o.layer.Source)
	switch {
	case !local:
		return "it is not a local file"
	case part:
		return "it is a slice of a file"
	case o.layer.ID.Block:
		return "it is a block device, whose changes cannot be detected: the record could not be undone"
	case header.Format != probe.Qcow2:
		return "it is " + string(header.Format) + ": only the header of a qcow2 image has room for any format"
	case o.layer.XMLAlone:
		return "only a <backingStore> of the XML says that it is qcow2 itself"
	case header.Encryption != probe.Plain || o.layer.Source.Encryption != nil:
		return "it is encrypted: qemu-img needs the secret"
	case header.Bitmaps:
		return "it has bitmaps, which qemu-img moves: restoring the old header would corrupt it"
	case header.Unknown:
		return "its header has unknown features, which qemu-img may drop"
	case header.Dirty:
		return "it was not closed: let QEMU repair it first"
	case header.Corrupt:
		return "it is marked corrupt"
	}
	return ""
}

// formatFor returns the stated format of an overlay's backing image, or the
// question that the operator has to answer.
func (p *Plan) formatFor(o *overlay) (probe.Format, string) {
	formats := o.stated
	if len(formats) == 0 && len(o.refused) == 0 && len(o.guessed) == 1 {
		// A guess that agrees with a record is not a guess.
		for _, r := range p.records[o.backing.ID] {
			formats = append(formats, r.format)
		}
	}
	differ := false
	for _, f := range append(formats[:len(formats):len(formats)], o.guessed...) {
		differ = differ || len(formats) > 0 && f != formats[0]
	}
	switch {
	case len(o.refused) > 0:
		f := o.refused[0]
		return "", f.Text + answers(f.Remedy.Image, f.Remedy.Formats, f.Remedy)
	case len(formats) > 0 && !differ:
		return formats[0], ""
	case differ || len(o.guessed) > 1:
		return "", "the disks that use it state different formats for its backing image" + o.statement()
	case len(o.guessed) == 0:
		return "", "nothing states the format of its backing image"
	}
	by := "only its own header says"
	if o.backing.XMLAlone {
		by = "only a <backingStore> of the XML says"
	}
	return "", by + " that " + storage.Describe(o.backing.At()) + " is " + string(o.guessed[0]) + ". Is it?" + o.statement()
}

// statement says how to answer a question about the backing image.
func (o *overlay) statement() string {
	return answers(storage.ShownName(o.backing.At()), append([]probe.Format{probe.Raw}, append(o.stated, o.guessed...)...), finding.Remedy{})
}

// answers says how to state one of several formats of an image; without
// formats it returns otherwise.
func answers[F ~string](image string, formats []F, otherwise finding.Remedy) string {
	var flags []finding.Remedy
	for _, f := range formats {
		flag := finding.Trust(image, string(f))
		same := func(have finding.Remedy) bool { return have.String() == flag.String() }
		if probe.Format(f).LibvirtName() != "" && !slices.ContainsFunc(flags, same) {
			flags = append(flags, flag)
		}
	}
	if image != "" && len(flags) > 0 {
		otherwise = finding.Say("scan again with %s", finding.Join(" or ", flags...))
	}
	if otherwise.IsZero() {
		return ""
	}
	return "\n" + otherwise.String()
}

var (
	errOtherName = errors.New("its header names another backing image than the XML")
	errChanged   = errors.New("it has changed since the scan; scan again")
)

// names checks that the overlay's header names the image with the known
// format.
func (p *Plan) names(ctx context.Context, o *overlay) error {
	named, err := storage.ParseBacking(o.layer.Header.Backing.Name, o.layer.At())
	if err != nil || o.layer.Header.Backing.CutAtNUL {
		return errOtherName
	}
	part, _ := storage.SliceOf(named)
	its, _ := storage.SliceOf(o.backing.Source)
	if part != its {
		return errOtherName
	}
	if storage.Name(named) == storage.Name(o.backing.At()) {
		return nil
	}
	path, _ := storage.LocalPath(named)
	id, err := limit.Do(ctx, p.requests, path, func(ctx context.Context) (storage.FileID, error) {
		return storage.FileOpener{}.Identify(ctx, named)
	})
	if err != nil || id != o.backing.ID {
		return errOtherName
	}
	return nil
}

// readHead reads the overlay's first cluster, and checks that the header has
// not changed since the scan.
func (p *Plan) readHead(ctx context.Context, d *decision) error {
	d.cluster = d.layer.Header.ClusterSize
	head, err := limit.Do(ctx, p.requests, d.path, func(ctx context.Context) ([]byte, error) { return readFirst(ctx, d.layer, d.cluster) })
	if err != nil {
		return err
	}
	d.sum = sha256.Sum256(head)
	return nil
}

// leastHead is the size of package probe's first read, in bytes.
const leastHead = 4 << 10

// readFirst returns the first cluster of an image whose header has not changed.
func readFirst(ctx context.Context, layer chain.Layer, cluster uint64) ([]byte, error) {
	image, err := storage.FileOpener{}.Open(ctx, layer.At())
	if err != nil {
		return nil, fmt.Errorf("it cannot be read: %s", strconv.Quote(storage.Reason(err)))
	}
	defer image.Close()
	if image.ID() != layer.ID {
		return nil, errChanged
	}
	head := make([]byte, min(max(int64(cluster), leastHead), image.Size())) // at most 2 MiB, by the format
	if _, err := image.ReadAt(head, 0); err != nil {
		return nil, fmt.Errorf("it cannot be read: %s", strconv.Quote(storage.Reason(err)))
	}
	now, err := probe.Read(bytes.NewReader(head), image.Size(), probe.Qcow2)
	if err != nil || now.ClusterSize != cluster || now.Backing == nil || *now.Backing != *layer.Header.Backing ||
		int64(len(head)) < int64(cluster) || now.Bitmaps || now.Unknown || now.Dirty || now.Corrupt || now.Encryption != probe.Plain {
		return nil, errChanged
	}
	return head[:cluster], nil
}
