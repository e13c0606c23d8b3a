package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
)

// checkSchema is the name and version of check's JSON output.
const checkSchema = "chainfix/check/v1"

type documentJSON struct {
	Name     string        `json:"name"`
	Domain   string        `json:"domain"`
	Verdict  string        `json:"verdict"`
	Needed   *bool         `json:"needed"` // that of the neediest disk; null if it cannot be told
	Because  string        `json:"because,omitempty"`
	Disks    []diskJSON    `json:"disks"`
	Findings []findingJSON `json:"findings,omitempty"` // of the document as such
}

type diskJSON struct {
	Target   string        `json:"target"`
	Verdict  string        `json:"verdict"`
	Needed   *bool         `json:"needed"` // null if it cannot be told
	Because  string        `json:"because,omitempty"`
	Layers   []layerJSON   `json:"layers"`
	Findings []findingJSON `json:"findings"`
}

type layerJSON struct {
	Source map[string]string `json:"source"`
	Format string            `json:"format,omitempty"` // libvirt's name, as the XML would say it
	From   string            `json:"from,omitempty"`
}

type findingJSON struct {
	Code     string `json:"code,omitempty"`
	Severity string `json:"severity"`
	Layer    *int   `json:"layer,omitempty"` // absent if the finding concerns no layer
	Text     string `json:"text"`
	Hint     string `json:"hint,omitempty"`
}

// jsonReport writes one document after the other, so that memory does not grow
// with their number.
type jsonReport struct {
	w       io.Writer
	started bool
}

func (r *jsonReport) begin() error {
	return write(r.w, []byte(`{"schema": "`+checkSchema+`", "documents": [`))
}

func (r *jsonReport) document(e *examined) error {
	separator := "\n"
	if r.started {
		separator = ",\n"
	}
	r.started = true
	text, err := encodeJSON(documentOf(e))
	if err != nil {
		return err
	}
	return write(r.w, append([]byte(separator), text...))
}

func (r *jsonReport) end() error { return write(r.w, []byte("\n]}\n")) }

// encodeJSON leaves <, > and & as they are: this is no HTML.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, inputError(err)
	}
	return escapeJSON(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

func documentOf(e *examined) documentJSON {
	doc := documentJSON{Name: e.name, Domain: e.domain(), Verdict: e.Verdict().String(), Disks: []diskJSON{}}
	doc.Needed, doc.Because = needOf(e.need())
	if e.Err != nil {
		f, _ := problemFinding(e.Err)
		doc.Findings = findingsOf([]finding.Finding{f})
	}
	for _, f := range e.Findings {
		doc.Findings = append(doc.Findings, findingsOf([]finding.Finding{f.Finding})...)
	}
	for i, d := range e.Disks {
		disk := diskJSON{Target: d.Target, Verdict: d.Verdict().String(), Layers: []layerJSON{}, Findings: []findingJSON{}}
		disk.Needed, disk.Because = needOf(e.needs[i])
		if d.Chain != nil {
			for _, layer := range d.Chain.Layers {
				disk.Layers = append(disk.Layers, layerOf(layer))
			}
			disk.Findings = findingsOf(d.Chain.Findings)
		}
		if d.Err != nil {
			f, _ := problemFinding(d.Err)
			disk.Findings = append(disk.Findings, findingsOf([]finding.Finding{f})...)
		}
		doc.Disks = append(doc.Disks, disk)
	}
	return doc
}

func layerOf(layer chain.Layer) layerJSON {
	return layerJSON{Source: sourceOf(layer.Source), Format: layer.Format.LibvirtName(), From: layer.From.String()}
}

func findingsOf(findings []finding.Finding) []findingJSON {
	all := []findingJSON{}
	for _, f := range findings {
		j := findingJSON{Code: string(f.Code), Severity: f.Severity.String(), Text: f.Text, Hint: f.Remedy.String()}
		if f.Layer != finding.WholeDisk {
			j.Layer = &f.Layer
		}
		all = append(all, j)
	}
	return all
}

// sourceOf names a source by the attributes that libvirt's XML has for it.
// Credentials are no part of it.
func sourceOf(src *libvirtxml.DomainDiskSource) map[string]string {
	switch {
	case src == nil:
		return map[string]string{}
	case src.File != nil && src.File.FDGroup != "":
		return map[string]string{"type": "file", "fdgroup": src.File.FDGroup}
	case src.File != nil:
		return map[string]string{"type": "file", "file": src.File.File}
	case src.Block != nil:
		return map[string]string{"type": "block", "dev": src.Block.Dev}
	case src.Dir != nil:
		return map[string]string{"type": "dir", "dir": src.Dir.Dir}
	case src.Network != nil:
		return map[string]string{"type": "network", "protocol": src.Network.Protocol, "name": src.Network.Name}
	case src.Volume != nil:
		return map[string]string{"type": "volume", "pool": src.Volume.Pool, "volume": src.Volume.Volume}
	case src.NVME != nil:
		return map[string]string{"type": "nvme"}
	case src.VHostUser != nil:
		return map[string]string{"type": "vhostuser"}
	case src.VHostVDPA != nil:
		return map[string]string{"type": "vhostvdpa", "dev": src.VHostVDPA.Dev}
	}
	return map[string]string{}
}

// escapeJSON replaces what a terminal might act on, and JSON allows in
// strings, by JSON's own escapes. encoding/json has escaped the control
// characters below space, and with bytes that are not UTF-8.
func escapeJSON(text []byte) []byte {
	safe := func(r rune) bool { return unicode.IsPrint(r) || r == '\n' }
	if bytes.IndexFunc(text, func(r rune) bool { return !safe(r) }) < 0 {
		return text
	}
	var escaped []byte
	for _, r := range string(text) {
		switch {
		case safe(r):
			escaped = append(escaped, string(r)...)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			escaped = fmt.Appendf(escaped, `\u%04x\u%04x`, high, low)
		default:
			escaped = fmt.Appendf(escaped, `\u%04x`, r)
		}
	}
	return escaped
}
