package types

import (
	"net/url"

	"skein/raftfsm/fleet/text"
)

// MaxText bounds free text in answers, in bytes: reasons are at most 1 KiB in ECS.
const MaxText = 2 << 10

// Clean makes text that came from containers, registries or other hosts safe
// to show in a terminal or a page, and cuts what is longer than MaxText.
func Clean(given string) string {
	if len(given) > MaxText {
		given = text.Cut(given, MaxText) + "..."
	}
	return text.Clean(given)
}

// CleanMap cleans keys and values; it returns nil for none.
func CleanMap(given map[string]string) map[string]string {
	if len(given) == 0 {
		return nil
	}
	out := make(map[string]string, len(given))
	for k, value := range given {
		out[Clean(k)] = Clean(value)
	}
	return out
}

// HideURL is the address for a reader who may see no secrets: many a path or query of a webhook
// is one.
func HideURL(given string) string {
	u, err := url.Parse(given)
	switch {
	case err != nil || u.Host == "":
		return "***"
	case u.Path == "" || u.Path == "/" && u.RawQuery == "":
		return Clean(u.Scheme + "://" + u.Host)
	default:
		return Clean(u.Scheme + "://" + u.Host + "/***")
	}
}

// CleanURL returns plain web addresses as they are and nothing else: a page turns
// them into links.
func CleanURL(given string) string {
	u, err := url.Parse(given)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return ""
	}
	return u.String()
}
