package main

import (
	"io"

	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

// hostSchema is the name and version of the JSON output of host scan.
const hostSchema = "chainfix/host/v1"

type guestJSON struct {
	Name     string          `json:"name"`
	UUID     string          `json:"uuid"`
	Active   bool            `json:"active"`
	Verdict  string          `json:"verdict"`
	Needed   *bool           `json:"needed"` // that of the neediest disk; null if it cannot be told
	Because  string          `json:"because,omitempty"`
	HeldBack string          `json:"held-back,omitempty"` // the code of the finding for which apply holds it back
	Disks    []guestDiskJSON `json:"disks"`
	Findings []findingJSON   `json:"findings,omitempty"` // of the guest as such
	// Outcome is what becomes of the guest as it is, by target: that of its worst
	// disk, or "unknown".
	Outcome map[string]string `json:"outcome,omitempty"`
	Stored  []storedJSON      `json:"stored,omitempty"` // what is to be mended of what libvirt keeps of it
}

type guestDiskJSON struct {
	diskJSON
	Prediction map[string]string `json:"prediction,omitempty"` // by target
	Words      map[string]string `json:"words,omitempty"`      // what libvirt will say, or what is opened
}

// hostJSON writes one guest after the other, so that memory does not grow with
// their number, and nothing before there is one, or the end.
type hostJSON struct {
	w       io.Writer
	libvirt libvirt.Version // the host's; not known of one that is not asked
	started bool
}

// next is what is written before the next guest, or before the end.
func (j *hostJSON) next(separator string) []byte {
	if j.started {
		return []byte(separator)
	}
	j.started = true
	libvirt := ""
	if j.libvirt.Known() {
		libvirt = j.libvirt.String()
	}
	return []byte(`{"schema": "` + hostSchema + `", "libvirt": "` + libvirt + `", "guests": [` + "\n")
}

func (j *hostJSON) guest(r *host.Report) error {
	text, err := encodeJSON(guestOf(r))
	if err != nil {
		return err
	}
	return write(j.w, append(j.next(",\n"), text...))
}

func (j *hostJSON) end(*report.Host) error { return write(j.w, append(j.next("\n"), "]}\n"...)) }

func guestOf(r *host.Report) guestJSON {
	doc := documentOf(examinedGuest(r))
	g := guestJSON{
		Name: r.Guest.Name, UUID: r.Guest.UUID, Active: r.Guest.Active,
		Verdict: r.Verdict().String(), Disks: []guestDiskJSON{}, Stored: storedOf(r),
		Findings: append(findingsOf(r.Findings), doc.Findings...),
	}
	g.Needed, g.Because = needOf(r.Need())
	g.HeldBack = string(heldBack(r))
	for _, o := range outcomes(r) {
		if g.Outcome == nil {
			g.Outcome = make(map[string]string)
		}
		g.Outcome[o.target.String()] = o.word()
	}
	for i, disk := range doc.Disks {
		d := guestDiskJSON{diskJSON: disk}
		if i < len(r.Predictions) && len(r.Predictions[i]) > 0 {
			d.Prediction, d.Words = make(map[string]string), make(map[string]string)
			for _, p := range r.Predictions[i] {
				if p.Err != nil {
					d.Words[p.Target.String()] = p.Err.Error()
					continue
				}
				d.Prediction[p.Target.String()] = p.Outcome.String()
				if p.Reason != "" {
					d.Words[p.Target.String()] = p.Reason
				}
			}
		}
		g.Disks = append(g.Disks, d)
	}
	return g
}
