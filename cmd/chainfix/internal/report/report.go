// Package report is the model of what chainfix says about a host or a document: the text, the JSON,
// the page and the metrics are all written from it, and say nothing that is not in it.
//
// [DocumentOf] makes the report on a document, and package collect the one on a host. The types are the JSON
// outputs "chainfix/host/v1" and "chainfix/check/v1" at the same time: their tags are the names that
// programs rely on, so none is ever renamed or taken away.
//
// Names and header strings in texts are quoted by whoever made them. Names in fields of their own are
// as they are: who prints one has to quote it. No field has credentials.
package report

import "time"

// HostSchema is the name and version of the report on a host.
const HostSchema = "chainfix/host/v1"

// Host is the whole report on a host.
type Host struct {
	Schema  string `json:"schema"`
	Libvirt string `json:"libvirt"` // the host's libvirt; "" if nobody told
	Run     Run    `json:"run"`
	// Guests are in the order of the inventory, by name.
	Guests []Guest `json:"guests"`
	// Images are all images of the guests' chains, each once, in the order in which they were met.
	Images []Image `json:"images"`
	// Decisions are what somebody has to decide before the guests' chains can be made explicit, the
	// one that most guests wait for first.
	Decisions []Decision `json:"decisions"`
	// Problems are the causes for which guests are not fine, each once; see [Problem].
	Problems []Problem `json:"problems"`
	// Findings are about none of the guests: what could not be read besides, and statements of the
	// operator's that match no image. Where people are told, they are told apart from the report.
	Findings []Finding `json:"findings,omitempty"`
	Summary  Summary   `json:"summary"`
}

// Run says how a report came about.
type Run struct {
	Host     string    `json:"host"`     // the name of the machine that chainfix ran on
	Source   string    `json:"source"`   // the URI of the libvirt that was asked, or the folder that was read
	Chainfix string    `json:"chainfix"` // the version of chainfix; "" if it is not known
	Time     time.Time `json:"time"`     // when it began, in UTC, to the second
	Rule     string    `json:"rule"`     // what --rule says, or the policy file
	Policy   string    `json:"policy"`   // the policy file; "" if there is none
	Targets  []string  `json:"targets"`  // the libvirts that outcomes are predicted for, as "11.3.0" or "11.3.0+10.0.0"
}

// Guest is one guest of a host.
type Guest struct {
	Name     string `json:"name"`
	UUID     string `json:"uuid"`
	Active   bool   `json:"active"`
	Verdict  string `json:"verdict"` // chainfix's: explicit, fixable or refused
	State    State  `json:"state"`   // what becomes of it as it is, at worst
	Needed   *bool  `json:"needed"`  // that of the neediest disk; null if it cannot be told
	Because  string `json:"because,omitempty"`
	HeldBack string `json:"held-back,omitempty"` // the code of the finding for which apply holds it back
	Disks    []Disk `json:"disks"`
	// Findings are about the guest as such.
	Findings []Finding `json:"findings,omitempty"`
	// Outcome is what becomes of the guest as it is, by target: that of its worst disk, or "unknown".
	Outcome map[string]string `json:"outcome,omitempty"`
	Stored  []Stored          `json:"stored,omitempty"` // what is to be changed of what libvirt keeps of it
}

// State says in one word what becomes of a guest as it is, under the worst of the targets.
type State string

const (
	// WillNotStart: libvirt, or the QEMU that it runs, refuses a disk of the guest.
	WillNotStart State = "will-not-start"
	// WrongData: the guest starts and reads bytes that are not those of its disk.
	WrongData State = "wrong-data"
	// Guessed: the guest starts because somebody guesses a format that nobody recorded.
	Guessed State = "guessed"
	// Unreadable: its definition cannot be read, so nothing is known.
	Unreadable State = "unreadable"
	// Unknown: it depends on an image that is not readable here.
	Unknown State = "unknown"
	// Fine: the guest starts, and nothing is guessed.
	Fine State = "fine"
)

// States are all states, the one to look at first coming first.
func States() []State {
	return []State{WillNotStart, WrongData, Guessed, Unreadable, Unknown, Fine}
}

// Stored is a snapshot, a checkpoint or a saved state in which something is to be changed.
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
	Needed   *bool     `json:"needed"` // that of the neediest disk; null if it cannot be told
	Because  string    `json:"because,omitempty"`
	Disks    []Disk    `json:"disks"`
	Findings []Finding `json:"findings,omitempty"` // of the document as such
}

// Disk is one disk of a guest or of a document.
type Disk struct {
	Target   string    `json:"target"`
	Device   string    `json:"device"`              // disk, cdrom, floppy or lun
	Bus      string    `json:"bus,omitempty"`       // as the XML says it
	ReadOnly bool      `json:"read-only,omitempty"` // the guest does not write to its image: <readonly/>, a CD-ROM, <transient/>
	Verdict  string    `json:"verdict"`
	Needed   *bool     `json:"needed"` // null if it cannot be told
	Because  string    `json:"because,omitempty"`
	Layers   []Layer   `json:"layers"`
	Findings []Finding `json:"findings"`

	Prediction map[string]string `json:"prediction,omitempty"` // starts, refuses or misopens, by target
	// Reason is what libvirt will say, or what is opened wrongly, by target. Words is the same under
	// the name that it had first.
	Reason map[string]string `json:"reason,omitempty"`
	Words  map[string]string `json:"words,omitempty"`
}

// Layer is one image in the chain of a disk.
type Layer struct {
	Source     Source `json:"source"`
	Format     string `json:"format,omitempty"`      // libvirt's name, as the XML would say it
	QEMUFormat string `json:"qemu-format,omitempty"` // QEMU's name
	From       string `json:"from,omitempty"`        // who stated the format: see chain.Origin
	Image      string `json:"image,omitempty"`       // the Key of the image in the report on a host
}

// Source names a storage source by the attributes that libvirt's XML has for it. Credentials are no
// part of it.
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
	Query     string       `json:"query,omitempty"` // "...", as it may hold a secret
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

// Finding is one thing to say.
type Finding struct {
	Code     string `json:"code,omitempty"`  // as chainfix explain takes it
	Severity string `json:"severity"`        // the words of the first release
	Level    string `json:"level"`           // the words of the text
	Layer    *int   `json:"layer,omitempty"` // the index of the layer that it is about, 0 the top; absent if it concerns no layer
	Text     string `json:"text"`
	Hint     string `json:"hint,omitempty"` // what would help
}

// Image is one image, however many guests have it in their chains and under whatever names.
type Image struct {
	// Key tells the images of one report apart and says nothing else: "i1", "i2".
	Key string `json:"key"`
	// Name is the name that --trust takes, without credentials.
	Name   string   `json:"name"`
	Names  []string `json:"names"` // all names by which it was met, Name the first
	Source Source   `json:"source"`
	// Exists says whether the image is there: null if that cannot be told.
	Exists *bool `json:"exists"`
	// Device and Inode are the identity of a local file, or the number of a block device; "" if it was not opened.
	Device      string  `json:"device,omitempty"`
	Inode       string  `json:"inode,omitempty"`
	Size        *int64  `json:"size,omitempty"`         // of the file or device, in bytes
	VirtualSize *uint64 `json:"virtual-size,omitempty"` // of the disk that it holds, in bytes, as the header claims
	// Format is the format that chains have it as, in libvirt's word; "" if nobody states it, or if
	// chains differ. QEMUFormat is QEMU's word for the same.
	Format     string `json:"format,omitempty"`
	QEMUFormat string `json:"qemu-format,omitempty"`
	From       string `json:"from,omitempty"` // who stated it
	// Claims is what the header claims to be, in QEMU's word, and Backing what it names as its backing
	// image, quoted as in texts; "" if it was not read, or names none.
	Claims  string `json:"claims,omitempty"`
	Backing string `json:"backing,omitempty"`
	// Below is the key of the image below it in the chains, DataFile of its data file; "" if there is none.
	Below    string `json:"below,omitempty"`
	DataFile string `json:"data-file,omitempty"`
	// Guests are those that stand on the image, as their own disk or below it, Writers the disks that write to it.
	Guests  []string  `json:"guests"`
	Writers []DiskRef `json:"writers"`
	// Problem is true where a finding with level error is about this image.
	Problem bool `json:"problem,omitempty"`
}

// DiskRef names a disk of a guest.
type DiskRef struct {
	Guest  string `json:"guest"`
	Target string `json:"target"`
}

// Problem is one cause for which guests are not fine, gathered over all guests: the summary of the
// text has a line for each.
type Problem struct {
	State State  `json:"state"`
	Code  string `json:"code,omitempty"`  // of the finding; "" where only libvirt objects
	Image string `json:"image,omitempty"` // the key of the image that it is about
	Text  string `json:"text"`            // one line for people, which names the image
	Hint  string `json:"hint,omitempty"`
	// Guests are those that it concerns, by name. A guest is in the one problem that is its worst.
	Guests []string `json:"guests"`
}

// Decision is one question that somebody has to answer, for all guests that wait for the answer.
type Decision struct {
	Code     string   `json:"code"`
	Image    string   `json:"image,omitempty"`  // the key of the image; "" where it is about none
	Name     string   `json:"name,omitempty"`   // the name that --trust takes
	Question string   `json:"question"`         // one line for people
	Claims   string   `json:"claims,omitempty"` // what the header claims, in words for people
	For      []string `json:"for"`              // what speaks for what the header claims; where that is nothing, for anything
	Against  []string `json:"against"`          // what speaks against it
	Answers  []Answer `json:"answers"`          // of those that state no format eight at most
	Hint     string   `json:"hint,omitempty"`   // of the finding, in words
	Guests   []string `json:"guests"`           // those that wait for it
}

// Answer is one way to answer a decision.
type Answer struct {
	Format  string `json:"format,omitempty"`  // QEMU's name of the format that it states; "" for another kind of answer
	Flag    string `json:"flag,omitempty"`    // the flag that states it, as it may be pasted
	Command string `json:"command,omitempty"` // a command for a shell, where it is no flag
	// Keep are the disks that "disks" of a policy file would name, each by its own image, to say the
	// same for good as the flag --keep-xml does for a run.
	Keep []string `json:"keep,omitempty"`
}

// Summary counts guests. The numbers of each map add up to Guests.
type Summary struct {
	Guests   int            `json:"guests"`
	States   map[State]int  `json:"states"`
	Verdicts map[string]int `json:"verdicts"`
	// Outcomes are, by target, how many start, refuse, misopen or are unknown.
	Outcomes map[string]map[string]int `json:"outcomes"`
	HeldBack int                       `json:"held-back"`
	// Change is how many an apply without names would change.
	Change int `json:"change"`
}
