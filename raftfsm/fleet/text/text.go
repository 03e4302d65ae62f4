// Package text makes text of others safe to show: in a terminal, a log, a page
// or a row of State. It is the one place that says which characters are not.
//
// It owns no bounds: how long a text may be is for who shows or keeps it.
package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Unprintable reports whether a rune may harm a terminal or mislead a reader:
// C0 and C1 controls, bidirectional controls, and invisible separators.
func Unprintable(r rune) bool {
	switch {
	case unicode.IsControl(r):
		return true
	case r >= 0x200B && r <= 0x200F, r >= 0x202A && r <= 0x202E, r >= 0x2060 && r <= 0x206F:
		return true
	case r == 0x061C, r == 0x2028, r == 0x2029, r == 0xFEFF:
		return true
	}
	return false
}

// Clean puts a space where a rune is unprintable and U+FFFD where bytes are no
// UTF-8.
func Clean(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if !strings.ContainsFunc(s, Unprintable) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if Unprintable(r) {
			return ' '
		}
		return r
	}, s)
}

// Cut returns the beginning of s that has at most max bytes and splits no rune.
func Cut(s string, max int) string {
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max]
}
