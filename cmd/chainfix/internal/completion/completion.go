// Package completion lets shells complete the command line of chainfix.
//
// A small script in the shell's own language ([Script]) asks the program for completions
// on each press of Tab: it passes what was typed as arguments, and reads the [Reply]: a
// kind in the first line, then one candidate per line. The shell evaluates neither what
// was typed nor what the program answers. Only bash leaves splitting and quoting words to
// its completions; here [Line] does it.
package completion

import "embed"

//go:embed chainfix.bash chainfix.zsh chainfix.fish
var scripts embed.FS

// Shells returns the names of the supported shells.
func Shells() []string { return []string{"bash", "zsh", "fish"} }

// Script returns the script for a shell, one of [Shells]; nil for any other word.
func Script(shell string) []byte {
	script, err := scripts.ReadFile("chainfix." + shell)
	if err != nil {
		return nil
	}
	return script
}
