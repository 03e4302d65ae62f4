package strictjson

import (
	"strings"

	"skein/raftfsm/fleet/text"
)

// maxShown is how much of a stranger's text an error repeats: enough to find
// it, too little to flood a terminal.
const maxShown = 120

// Show makes outside text safe to print: control characters and those that
// turn the writing direction are replaced, long text is cut.
func Show(shown string) string {
	var b strings.Builder
	n := 0
	for _, r := range shown {
		if n++; n > maxShown {
			b.WriteString("...")
			break
		}
		if text.Unprintable(r) {
			r = '\uFFFD'
		}
		b.WriteRune(r)
	}
	return b.String()
}
