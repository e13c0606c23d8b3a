package completion

import "strings"

// Line is a command line of bash up to the cursor, taken apart.
type Line struct {
	Words   []string // those before the one at the cursor, the program's name first; quotes are undone
	Current string   // the word at the cursor as far as it goes, likewise
	// Redirects says that the word at the cursor is where a stream goes to.
	Redirects bool

	quote byte   // the quote that is open at the cursor: ' or ", or 0
	kept  string // what bash leaves of Current in front of what it puts in
}

// ReadLine takes a command line apart as readline does, which replaces what stands behind
// the last of the breaks (COMP_WORDBREAKS) or behind a quote that is open. Nothing is
// expanded: a variable or a command in the line stays the text that it is. Redirections
// are no words.
func ReadLine(line, breaks string) Line {
	l := lexer{breaks: breaks}
	for i := 0; i < len(line); i++ {
		l.take(line[i])
	}
	l.Current, l.Redirects = string(l.word), l.operator
	l.kept = l.Current[:l.start]
	return l.Line
}

type lexer struct {
	Line
	breaks   string
	word     []byte // the word that is read
	begun    bool   // it is one, be it empty
	start    int    // where in it the part begins that is replaced
	outer    int    // where that was before the quote
	escaped  bool   // a backslash is before the next character
	operator bool   // the word is where a redirection goes to
}

func (l *lexer) take(c byte) {
	switch {
	case l.escaped:
		// In double quotes a backslash quotes only these.
		if l.quote == '"' && !strings.ContainsRune("$`\"\\", rune(c)) {
			l.word = append(l.word, '\\')
		}
		l.add(c)
		l.escaped = false
	case c == '\\' && l.quote != '\'':
		l.escaped, l.begun = true, true
	case l.quote != 0 && c == l.quote:
		l.quote, l.start = 0, l.outer
	case l.quote != 0:
		l.add(c)
	case c == '\'' || c == '"':
		l.outer, l.start = l.start, len(l.word)
		l.quote, l.begun = c, true
	case c == ' ' || c == '\t' || c == '\n':
		l.end()
	case c == '<' || c == '>':
		// What is in front of it, as in 2>, is the number of a stream.
		if strings.Trim(string(l.word), "0123456789&") != "" {
			l.end()
		}
		l.word, l.start, l.begun, l.operator = nil, 0, false, true
	default:
		l.add(c)
		if strings.IndexByte(l.breaks, c) >= 0 {
			l.start = len(l.word)
		}
	}
}

func (l *lexer) add(c byte) { l.word, l.begun = append(l.word, c), true }

// end ends a word.
func (l *lexer) end() {
	if !l.begun {
		return
	}
	if !l.operator {
		l.Words = append(l.Words, string(l.word))
	}
	l.word, l.start, l.begun, l.operator = nil, 0, false, false
}

// insertion is what bash is to put in for a value, if the word at the cursor is the
// beginning of it.
func (l Line) insertion(value string) (text string, ok bool) {
	if !strings.HasPrefix(value, l.Current) {
		return "", false
	}
	rest := value[len(l.kept):]
	switch l.quote {
	case '\'':
		return strings.ReplaceAll(rest, "'", `'\''`), true
	case '"':
		// Nothing quotes the mark of the history in there.
		return backslashed(rest, "$`\"\\"), !strings.Contains(rest, "!")
	}
	const special = " !\"#$&'()*;<>?[\\]^`{|}~"
	return backslashed(rest, special), true
}

func backslashed(text, special string) string {
	var b strings.Builder
	for i := range len(text) {
		if strings.IndexByte(special, text[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
