package report

// WhoSchema is the name and version of the JSON output of host who.
const WhoSchema = "chainfix/who/v1"

// Answer words of [Who].
const (
	Nobody   = "nobody"
	Somebody = "somebody"
	NotKnown = "unknown"
)

// Who is who uses an image.
type Who struct {
	Schema string   `json:"schema"`
	Image  string   `json:"image"`
	Names  []string `json:"names"`  // all names by which it was looked for, Image the first
	Exists *bool    `json:"exists"` // null if that cannot be told
	// Answer is "nobody", "somebody" or, where nobody is known and somebody may be, "unknown".
	Answer string     `json:"answer"`
	Guests int        `json:"guests"` // how many were looked at
	Uses   []Use      `json:"uses"`
	Doubts []UseDoubt `json:"doubts"`
}

// Use is one way in which a guest uses the image.
type Use struct {
	Guest  string   `json:"guest"`
	UUID   string   `json:"uuid"`
	Disk   string   `json:"disk,omitempty"` // its target; absent where it is no disk
	As     string   `json:"as"`             // how, in words for people
	Writes bool     `json:"writes"`
	In     []string `json:"in"` // where that is stated, in words for people
}

// UseDoubt is one reason for which somebody may use the image whom nobody knows of.
type UseDoubt struct {
	Guest string   `json:"guest,omitempty"` // absent where it is about the host
	Disk  string   `json:"disk,omitempty"`
	In    []string `json:"in,omitempty"`
	Text  string   `json:"text"`
	Hint  string   `json:"hint,omitempty"`
}
