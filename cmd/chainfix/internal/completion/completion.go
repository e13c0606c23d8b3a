// Package completion lets shells complete the command line of chainfix.
//
// A small script in the shell's own language ([Script]) asks the program at each press
// of the key what may stand there: it hands over what was typed as arguments, and reads
// the [Reply], a kind in the first line and then a candidate a line. Nothing that was
// typed, and nothing that the program answers, is ever evaluated by the shell. bash alone
// leaves to its completions what takes words apart and quotes them; here [Line] does it.
package completion

import "embed"

//go:embed chainfix.bash chainfix.zsh chainfix.fish
var scripts embed.FS

// Shells returns the names of the shells that there is a script for.
func Shells() []string { return []string{"bash", "zsh", "fish"} }

// Script returns the script for a shell, one of [Shells]; nil for any other word.
func Script(shell string) []byte {
	script, err := scripts.ReadFile("chainfix." + shell)
	if err != nil {
		return nil
	}
	return script
}
