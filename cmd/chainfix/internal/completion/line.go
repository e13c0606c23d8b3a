package completion

import "strings"

// Line is a parsed command line of bash, up to the cursor.
type Line struct {
	Words   []string // the words before the one at the cursor, unquoted, the program's name first
	Current string   // the word at the cursor, up to the cursor, unquoted
	// Redirects is true if the word at the cursor is the target of a redirection.
	Redirects bool

	quote byte   // the quote that is open at the cursor: ' or ", or 0
	kept  string // the part of Current that bash keeps before its insertion
}

// ReadLine splits a command line as readline does, which replaces what follows the last
// break (COMP_WORDBREAKS) or an open quote. Nothing is expanded: a variable or a command
// in the line is plain text. Redirections are not words.
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
	word     []byte // the current word
	begun    bool   // there is a word, which may be empty
	start    int    // where the replaced part of it begins
	outer    int    // the same before the quote
	escaped  bool   // the last character was a backslash
	operator bool   // the word is the target of a redirection
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
		// A number before it, as in 2>, is a stream's.
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

// insertion returns what bash must insert for a value, if the word at the cursor is
// a prefix of it.
func (l Line) insertion(value string) (text string, ok bool) {
	if !strings.HasPrefix(value, l.Current) {
		return "", false
	}
	rest := value[len(l.kept):]
	switch l.quote {
	case '\'':
		return strings.ReplaceAll(rest, "'", `'\''`), true
	case '"':
		// Double quotes do not protect the history character.
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
