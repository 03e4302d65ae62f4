package route

import (
	"bytes"
	"strings"

	"skein/runtime/ingress/http1"
)

// pattern is text with * for any text and ? for one character.
type pattern struct {
	text   string // in small letters if fold
	fold   bool
	exact  bool // no * and no ?
	prefix bool // text without its last character, which is the only *
}

func compilePattern(text string, fold bool) pattern {
	if fold {
		text = strings.ToLower(text)
	}
	first := strings.IndexAny(text, "*?")
	atEnd := first >= 0 && first == len(text)-1
	return pattern{text: text, fold: fold, exact: first < 0, prefix: atEnd && text[first] == '*'}
}

func (p *pattern) fits(text []byte) bool {
	switch {
	case p.exact && p.fold:
		return http1.EqualFold(text, p.text)
	case p.exact:
		return string(text) == p.text
	case p.prefix && !p.fold:
		n := len(p.text) - 1
		return len(text) >= n && string(text[:n]) == p.text[:n]
	default:
		return p.glob(text)
	}
}

// glob goes back to the last * only, so that it takes at most len(text) * len(p.text) steps.
func (p *pattern) glob(text []byte) bool {
	at, star, mark := 0, -1, 0
	for i := 0; i < len(text); {
		switch {
		case at < len(p.text) && p.text[at] == '*':
			star, mark = at, i
			at++
		case at < len(p.text) && (p.text[at] == '?' || p.text[at] == p.folded(text[i])):
			at++
			i++
		case star >= 0:
			mark++
			at, i = star+1, mark
		default:
			return false
		}
	}
	for at < len(p.text) && p.text[at] == '*' {
		at++
	}
	return at == len(p.text)
}

func (p *pattern) folded(b byte) byte {
	if p.fold && b >= 'A' && b <= 'Z' {
		return b + ('a' - 'A')
	}
	return b
}

// firstSegment is the first segment of every path that the pattern fits; not ok: they
// differ.
func (p *pattern) firstSegment() (string, bool) {
	literal := p.text
	if wild := strings.IndexAny(literal, "*?"); wild >= 0 {
		literal = literal[:wild]
	}
	if literal == "" || literal[0] != '/' {
		return "", false
	}
	segment, _, ended := strings.Cut(literal[1:], "/")
	return segment, ended || p.exact
}

// segmentOf is the first segment of a path.
func segmentOf(path []byte) []byte {
	if len(path) == 0 {
		return nil
	}
	segment, _, _ := bytes.Cut(path[1:], []byte{'/'})
	return segment
}
