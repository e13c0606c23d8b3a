package text

import "github.com/chainfix/chainfix/chain/finding"

// style is a colour: the parameters of ECMA-48's SGR.
type style string

const (
	plain    style = ""
	asking   style = "1;35"
	bad      style = "1;31"
	doubtful style = "1;33"
	good     style = "1;32"
)

// paint gives a text a style, if colour is on.
func (p *Printer) paint(s style, text string) string { return paint(p.Color, s, text) }

func paint(color bool, s style, text string) string {
	if !color || s == plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// Level returns the word of a [finding.Severity], coloured if colour is on.
func Level(word string, color bool) string {
	return paint(color, map[string]style{finding.Refuse.Level(): bad, finding.Warn.Level(): doubtful}[word], word)
}
