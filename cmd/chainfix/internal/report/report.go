// Package report is the model of chainfix's reports on hosts and documents: the text, the JSON, the
// page and the metrics are all written from it, and contain nothing else.
//
// [DocumentOf] makes the report on a document, and package collect the report on a host. The types are also
// the JSON outputs "chainfix/host/v1" and "chainfix/check/v1": programs rely on their tags, so no tag is
// ever renamed or removed.
//
// Names and header strings within texts are already quoted. Names in fields of their own are not:
// whoever prints one must quote it. No field contains credentials.
package report

import "time"

// HostSchema is the name and version of the report on a host.
const HostSchema = "chainfix/host/v1"

// Host is the whole report on a host.
type Host struct {
	Schema  string `json:"schema"`
	Libvirt string `json:"libvirt"` // the version of the host's libvirt; "" if unknown
	Run     Run    `json:"run"`
	// Guests are in the order of the inventory, by name.
	Guests []Guest `json:"guests"`
	// Images are all images of the guests' chains, each once, in the order in which they were
	// found.
	Images []Image `json:"images"`
	// Decisions are the questions to answer before the guests' chains can be made explicit, the one
	// that most guests wait for first.
	Decisions []Decision `json:"decisions"`
	// Problems are the causes of guests' bad states, each once; see [Problem].
	Problems []Problem `json:"problems"`
	// Findings are about no guest: other things that could not be read, and the operator's
	// statements that match no image. In text output they are printed apart from the report.
	Findings []Finding `json:"findings,omitempty"`
	Summary  Summary   `json:"summary"`
}

// Run says how a report was made.
type Run struct {
	Host     string    `json:"host"`     // the name of the host that chainfix ran on
	Source   string    `json:"source"`   // the URI of the libvirt that was asked, or the folder that was read
	Chainfix string    `json:"chainfix"` // the version of chainfix; "" if unknown
	Time     time.Time `json:"time"`     // when it began, in UTC, to the second
	Rule     string    `json:"rule"`     // the rule, from --rule or the policy file
	Policy   string    `json:"policy"`   // the policy file; "" if there is none
	Targets  []string  `json:"targets"`  // the libvirts that outcomes are predicted for, as "11.3.0" or "11.3.0+10.0.0"
}

// Guest is one guest of a host.
type Guest struct {
	Name     string `json:"name"`
	UUID     string `json:"uuid"`
	Active   bool   `json:"active"`
	Verdict  string `json:"verdict"` // chainfix's: explicit, fixable or refused
	State    State  `json:"state"`   // how it starts if unchanged, at worst
	Needed   *bool  `json:"needed"`  // the greatest need of its disks; null if unknown
	Because  string `json:"because,omitempty"`
	HeldBack string `json:"held-back,omitempty"` // the code of the finding that makes apply hold it back
	Disks    []Disk `json:"disks"`
	// Findings are about the guest itself.
	Findings []Finding `json:"findings,omitempty"`
	// Outcome is how the guest starts if unchanged, by target: the outcome of its worst disk, or
	// "unknown".
	Outcome map[string]string `json:"outcome,omitempty"`
	Stored  []Stored          `json:"stored,omitempty"` // its snapshots, checkpoints and saved states in which something must change
}

// State is how a guest starts if unchanged, under the worst of the targets.
type State string

const (
	// WillNotStart: libvirt, or the QEMU that it runs, refuses a disk of the guest.
	WillNotStart State = "will-not-start"
	// WrongData: the guest starts and reads bytes that are not those of its disk.
	WrongData State = "wrong-data"
	// Guessed: the guest starts because libvirt or QEMU guesses a format that is not
	// recorded.
	Guessed State = "guessed"
	// Unreadable: its definition cannot be read.
	Unreadable State = "unreadable"
	// Unknown: it depends on an image that is not readable here.
	Unknown State = "unknown"
	// Fine: the guest starts, and nothing is guessed.
	Fine State = "fine"
)

// States are all states, the most urgent first.
func States() []State {
	return []State{WillNotStart, WrongData, Guessed, Unreadable, Unknown, Fine}
}

// Stored is a snapshot, a checkpoint or a saved state in which something must change.
type Stored struct {
	Kind     string    `json:"kind"`
	Name     string    `json:"name"`
	Verdict  string    `json:"verdict"`
	Findings []Finding `json:"findings"`
}

// Document is one domain XML.
type Document struct {
	Name     string    `json:"name"`
	Domain   string    `json:"domain"`
	Verdict  string    `json:"verdict"`
	Needed   *bool     `json:"needed"` // the greatest need of its disks; null if unknown
	Because  string    `json:"because,omitempty"`
	Disks    []Disk    `json:"disks"`
	Findings []Finding `json:"findings,omitempty"` // about the document itself
}

// Disk is one disk of a guest or of a document.
type Disk struct {
	Target   string    `json:"target"`
	Device   string    `json:"device"`              // disk, cdrom, floppy or lun
	Bus      string    `json:"bus,omitempty"`       // as in the XML
	ReadOnly bool      `json:"read-only,omitempty"` // the guest does not write to its image: <readonly/>, a CD-ROM, <transient/>
	Verdict  string    `json:"verdict"`
	Needed   *bool     `json:"needed"` // null if unknown
	Because  string    `json:"because,omitempty"`
	Layers   []Layer   `json:"layers"`
	Findings []Finding `json:"findings"`

	Prediction map[string]string `json:"prediction,omitempty"` // starts, refuses or misopens, by target
	// Reason is libvirt's error, or what is opened wrongly, by target. Words is the same under its
	// former name.
	Reason map[string]string `json:"reason,omitempty"`
	Words  map[string]string `json:"words,omitempty"`
}

// Layer is one image in the chain of a disk.
type Layer struct {
	Source     Source `json:"source"`
	Format     string `json:"format,omitempty"`      // libvirt's name, as in the XML
	QEMUFormat string `json:"qemu-format,omitempty"` // QEMU's name
	From       string `json:"from,omitempty"`        // who stated the format: see chain.Origin
	Image      string `json:"image,omitempty"`       // the Key of the image in the report on a host
}

// Source names a storage source by its attributes in libvirt's XML. It contains no credentials.
type Source struct {
	Type      string       `json:"type,omitempty"`
	File      string       `json:"file,omitempty"`
	FDGroup   string       `json:"fdgroup,omitempty"`
	Dev       string       `json:"dev,omitempty"`
	Dir       string       `json:"dir,omitempty"`
	Pool      string       `json:"pool,omitempty"`
	Volume    string       `json:"volume,omitempty"`
	Protocol  string       `json:"protocol,omitempty"`
	Name      *string      `json:"name,omitempty"`  // of a network source, which may be ""; else nil
	Query     string       `json:"query,omitempty"` // "..." instead of the text, which may be a secret
	Snapshot  string       `json:"snapshot,omitempty"`
	Config    string       `json:"config,omitempty"`
	Address   string       `json:"address,omitempty"` // of an nvme device, as lspci writes it
	Namespace uint64       `json:"namespace,omitempty"`
	Hosts     []SourceHost `json:"hosts,omitempty"`
	Slice     *Slice       `json:"slice,omitempty"`
}

// SourceHost is one server of a network source.
type SourceHost struct {
	Transport string `json:"transport,omitempty"`
	Name      string `json:"name,omitempty"`
	Port      string `json:"port,omitempty"`
	Socket    string `json:"socket,omitempty"`
}

// Slice is the part of a source that holds the image, in bytes.
type Slice struct {
	Offset uint64 `json:"offset"`
	Size   uint64 `json:"size"`
}

// Finding is one finding.
type Finding struct {
	Code     string `json:"code,omitempty"`  // as chainfix explain takes it
	Severity string `json:"severity"`        // the words of the first release
	Level    string `json:"level"`           // the words of the text
	Layer    *int   `json:"layer,omitempty"` // the index of the layer that it is about, 0 for the top; absent if it is about no layer
	Text     string `json:"text"`
	Hint     string `json:"hint,omitempty"` // what would help
}

// Image is one image, however many guests use it and by whatever names.
type Image struct {
	// Key identifies the image within one report and has no other meaning: "i1", "i2".
	Key string `json:"key"`
	// Name is the name that --trust takes, without credentials.
	Name   string   `json:"name"`
	Names  []string `json:"names"` // all names by which chains refer to it, Name first
	Source Source   `json:"source"`
	// Exists says whether the image exists: null if unknown.
	Exists *bool `json:"exists"`
	// Device and Inode are the identity of a local file, or the number of a block device; "" if it was not opened.
	Device      string  `json:"device,omitempty"`
	Inode       string  `json:"inode,omitempty"`
	Size        *int64  `json:"size,omitempty"`         // of the file or device, in bytes
	VirtualSize *uint64 `json:"virtual-size,omitempty"` // of the disk that it holds, in bytes, as the header claims
	// Format is its format in the chains, in libvirt's word; "" if it is not stated, or if chains
	// differ. QEMUFormat is QEMU's word for the same.
	Format     string `json:"format,omitempty"`
	QEMUFormat string `json:"qemu-format,omitempty"`
	From       string `json:"from,omitempty"` // who stated it
	// Claims is the format that the header claims, in QEMU's word, and Backing the backing image that
	// it names, quoted as in texts; "" if the header was not read, or names none.
	Claims  string `json:"claims,omitempty"`
	Backing string `json:"backing,omitempty"`
	// Below is the key of the image below it in the chains, DataFile the key of its data file; "" for none.
	Below    string `json:"below,omitempty"`
	DataFile string `json:"data-file,omitempty"`
	// Guests are the guests that use the image, as a disk or a backing image, Writers the disks that write to
	// it.
	Guests  []string  `json:"guests"`
	Writers []DiskRef `json:"writers"`
	// Problem is true if a finding with level error is about this image.
	Problem bool `json:"problem,omitempty"`
}

// DiskRef names a disk of a guest.
type DiskRef struct {
	Guest  string `json:"guest"`
	Target string `json:"target"`
}

// Problem is one cause of guests' bad states, collected over all guests: the summary of the text
// has a line for each.
type Problem struct {
	State State  `json:"state"`
	Code  string `json:"code,omitempty"`  // the code of the finding; "" if only libvirt objects
	Image string `json:"image,omitempty"` // the key of the image that it is about
	Text  string `json:"text"`            // one line of text, which names the image
	Hint  string `json:"hint,omitempty"`
	// Guests are the affected guests, by name. Each guest is only in its worst problem.
	Guests []string `json:"guests"`
}

// Decision is one question to answer, for all guests that wait for the answer.
type Decision struct {
	Code     string   `json:"code"`
	Image    string   `json:"image,omitempty"`  // the key of the image; "" if it is about none
	Name     string   `json:"name,omitempty"`   // the name that --trust takes
	Question string   `json:"question"`         // one line for people
	Claims   string   `json:"claims,omitempty"` // what the header claims, as text
	For      []string `json:"for"`              // what supports the header's claim; without a claim, all that is known
	Against  []string `json:"against"`          // what contradicts it
	Answers  []Answer `json:"answers"`          // at most eight that state no format
	Hint     string   `json:"hint,omitempty"`   // the remedy of the finding, as text
	Guests   []string `json:"guests"`           // the guests that wait for it
}

// Answer is one way to answer a decision.
type Answer struct {
	Format  string `json:"format,omitempty"`  // the format that it states, in QEMU's word; "" for another kind of answer
	Flag    string `json:"flag,omitempty"`    // the flag that states it, ready to paste
	Command string `json:"command,omitempty"` // a shell command, if it is not a flag
	// Keep are the disks, each by its own image, to list under "disks" in a policy file to make the
	// effect of --keep-xml permanent.
	Keep []string `json:"keep,omitempty"`
}

// Summary counts guests. The numbers of each map add up to Guests.
type Summary struct {
	Guests   int            `json:"guests"`
	States   map[State]int  `json:"states"`
	Verdicts map[string]int `json:"verdicts"`
	// Outcomes count, by target, the guests that start, refuse, misopen or are unknown.
	Outcomes map[string]map[string]int `json:"outcomes"`
	HeldBack int                       `json:"held-back"`
	// Change is how many guests an apply without names would change.
	Change int `json:"change"`
}
