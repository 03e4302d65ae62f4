package api

import (
	"net/url"
	"strconv"
)

// Headers that agents write for agents; they are taken only from peers.
const (
	headerHops   = "X-Skein-Hops"
	headerBy     = "X-Skein-By"
	headerWait   = "X-Skein-Wait-Ms"
	headerPublic = "X-Skein-Public"
	// headerAstray marks the answer of a host that passes a request on no further.
	headerAstray = "X-Skein-Astray"
)

func formatUint(n uint64) string { return strconv.FormatUint(n, 10) }
func formatInt(n int64) string   { return strconv.FormatInt(n, 10) }

// safeURL lets only plain web addresses through: a page turns them into links.
func safeURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return ""
	}
	return u.String()
}
