package api

import (
	"strings"

	"skein/agent/ecs/strictjson"
)

// maxText bounds free text in answers: reasons are at most 1 KiB in ECS.
const maxText = 2 << 10

// clean makes text that came from containers, registries or other hosts safe
// to show in a terminal or a page: control characters and those that turn the
// writing direction become spaces, long text is cut.
func clean(text string) string {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "..."
	}
	if !strings.ContainsFunc(text, strictjson.Unprintable) {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	return strings.Map(func(r rune) rune {
		if strictjson.Unprintable(r) {
			return ' '
		}
		return r
	}, text)
}
