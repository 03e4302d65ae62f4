package api

import "skein/raftfsm/fleet/text"

// maxText bounds free text in answers: reasons are at most 1 KiB in ECS.
const maxText = 2 << 10

// clean makes text that came from containers, registries or other hosts safe
// to show in a terminal or a page, and cuts what is long.
func clean(given string) string {
	if len(given) > maxText {
		given = text.Cut(given, maxText) + "..."
	}
	return text.Clean(given)
}
