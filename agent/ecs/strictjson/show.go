package strictjson

import (
	"strings"
	"unicode"
)

// maxShown is how much of a stranger's text an error repeats: enough to find
// it, too little to flood a terminal.
const maxShown = 80

// Show makes outside text safe to print: control characters and those that
// turn the writing direction are replaced, long text is cut.
func Show(text string) string {
	var b strings.Builder
	n := 0
	for _, r := range text {
		if n++; n > maxShown {
			b.WriteString("...")
			break
		}
		if Unprintable(r) {
			r = '\uFFFD'
		}
		b.WriteRune(r)
	}
	return b.String()
}

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
