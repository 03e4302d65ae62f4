package text

import (
	"testing"
	"unicode/utf8"
)

func TestCleanTextHarmsNoReader(t *testing.T) {
	for given, want := range map[string]string{
		"plain, also ü and 世":      "plain, also ü and 世",
		"a\x1b[2Jb\r\nc\td":        "a [2Jb  c d",
		"right\u202Eto\u2066left":  "right to left",
		"zero\u200Bwidth\uFEFFbom": "zero width bom",
		"c1\u009B31m":              "c1 31m",
		"bad\xff\xfebytes":         "bad\uFFFDbytes",
		"line\u2028paragraph":      "line paragraph",
	} {
		if got := Clean(given); got != want {
			t.Errorf("%q became %q, want %q", given, got, want)
		}
	}
}

func TestACutSplitsNoRune(t *testing.T) {
	for most := range 12 {
		if got := Cut("aü世b", most); len(got) > most || !utf8.ValidString(got) {
			t.Errorf("at most %d bytes gave %q", most, got)
		}
	}
}
