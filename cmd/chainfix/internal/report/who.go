package report

// WhoSchema is the name and version of the JSON output of host who.
const WhoSchema = "chainfix/who/v1"

// Answer words of [Who].
const (
	Nobody   = "nobody"
	Somebody = "somebody"
	NotKnown = "unknown"
)

// Who is the report on who uses an image.
type Who struct {
	Schema string   `json:"schema"`
	Image  string   `json:"image"`
	Names  []string `json:"names"`  // all names by which it was searched, Image first
	Exists *bool    `json:"exists"` // null if unknown
	// Answer is "nobody", "somebody", or "unknown" if no use is known but there may be one.
	Answer string     `json:"answer"`
	Guests int        `json:"guests"` // how many were checked
	Uses   []Use      `json:"uses"`
	Doubts []UseDoubt `json:"doubts"`
}

// Use is one way in which a guest uses the image.
type Use struct {
	Guest  string   `json:"guest"`
	UUID   string   `json:"uuid"`
	Disk   string   `json:"disk,omitempty"` // its target; absent if it is not a disk
	As     string   `json:"as"`             // how, as text
	Writes bool     `json:"writes"`
	In     []string `json:"in"` // where that is stated, as text
}

// UseDoubt is one reason why there may be unknown uses of the image.
type UseDoubt struct {
	Guest string   `json:"guest,omitempty"` // absent if it is about the host
	Disk  string   `json:"disk,omitempty"`
	In    []string `json:"in,omitempty"`
	Text  string   `json:"text"`
	Hint  string   `json:"hint,omitempty"`
}
