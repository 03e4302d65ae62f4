package endpoint

import (
	"encoding/base64"
	"strings"
)

// NewCursor is where a page of a list ended. It names the list, so that what is
// no cursor of this list is refused instead of answered with an empty page.
func NewCursor(list, last string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(list + "\n" + last))
}

// ReadCursor returns the last row of the page before, empty for none.
func ReadCursor(list, text string) (last, why string) {
	if text == "" {
		return "", ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	of, last, ok := strings.Cut(string(raw), "\n")
	if err != nil || !ok || of != list || last == "" {
		return "", "it must be the next of a page of " + list + ", as it was given"
	}
	return last, ""
}
