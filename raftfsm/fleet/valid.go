package fleet

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// field makes a refusal of one field.
func field(path, why string, args ...any) error {
	return &FieldError{Field: path, Why: fmt.Sprintf(why, args...)}
}

// checkName allows letters, digits, "_" and "-" (ECS API, RegisterTaskDefinition).
func checkName(path, v string, max int) error {
	return checkChars(path, v, max, "_-")
}

// checkHostName allows dots too: a host is often called by its DNS name.
func checkHostName(path, v string) error {
	if strings.HasPrefix(v, ".") || strings.HasPrefix(v, "-") {
		return field(path, "%q begins with %q: a letter or digit is needed", v, v[:1])
	}
	return checkChars(path, v, MaxHostName, "_-.")
}

// checkID allows what is safe in paths, labels and as part of other ids.
func checkID(path, v string) error {
	return checkChars(path, v, MaxID, "-")
}

func checkChars(path, v string, max int, also string) error {
	if v == "" {
		return field(path, "is empty: 1 to %d characters are needed", max)
	}
	if len(v) > max {
		return field(path, "is %d characters long: at most %d are allowed", len(v), max)
	}
	for _, c := range []byte(v) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte(also, c) < 0 {
			return field(path, "%s holds %q: allowed are letters, digits and %q", quoted(v), c, also)
		}
	}
	return nil
}

// quoted shows a refused value, shortened.
func quoted(v string) string { return fmt.Sprintf("%q", clip(v, 64)) }

// checkText allows any printable text of at most max bytes, also none.
func checkText(path, v string, max int) error {
	if len(v) > max {
		return field(path, "is %d bytes long: at most %d are allowed", len(v), max)
	}
	if !utf8.ValidString(v) {
		return field(path, "is not valid UTF-8")
	}
	if at := strings.IndexFunc(v, unicode.IsControl); at >= 0 {
		return field(path, "holds control character %#x", v[at])
	}
	return nil
}

// checkValue allows what may be an argument or environment value: anything
// without a zero byte.
func checkValue(path, v string, max int) error {
	switch {
	case len(v) > max:
		return field(path, "is %d bytes long: at most %d are allowed", len(v), max)
	case !utf8.ValidString(v):
		return field(path, "is not valid UTF-8")
	case strings.IndexByte(v, 0) >= 0:
		return field(path, "holds a zero byte")
	}
	return nil
}

func checkRange[N int | int64](path string, v, low, high N) error {
	if v < low || v > high {
		return field(path, "is %d: %d to %d are allowed", v, low, high)
	}
	return nil
}

func checkHash(path string, v []byte) error {
	if len(v) != 32 {
		return field(path, "is %d bytes long: a sha256 has 32", len(v))
	}
	return nil
}

func checkBlob(path string, v []byte) error {
	if len(v) == 0 || len(v) > maxBlob {
		return field(path, "is %d bytes long: 1 to %d are allowed", len(v), maxBlob)
	}
	return nil
}

func checkAddr(path string, v netip.AddrPort) error {
	if !v.IsValid() || v.Port() == 0 {
		return field(path, "%s is no address with a port", v)
	}
	return nil
}

func checkTags(path string, tags map[string]string) error {
	if len(tags) > maxTags {
		return field(path, "has %d entries: at most %d are allowed", len(tags), maxTags)
	}
	for _, key := range sortedKeys(tags) {
		if key == "" {
			return field(path, "has an empty name")
		}
		if err := checkText(path+"."+clip(key, maxTagKey), key, maxTagKey); err != nil {
			return err
		}
		if err := checkText(path+"."+key, tags[key], maxTagValue); err != nil {
			return err
		}
	}
	return nil
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func checkCounts(path string, counts []Count) error {
	if len(counts) > MaxCounts {
		return field(path, "has %d entries: at most %d are allowed", len(counts), MaxCounts)
	}
	for i, c := range counts {
		if err := checkText(fmt.Sprintf("%s[%d].name", path, i), c.Name, MaxID); err != nil {
			return err
		}
	}
	return nil
}

func checkResources(path string, r Resources) error {
	// 2^40 of either is past any machine; the bound keeps sums from overflowing.
	if err := checkRange(path+".cpu", r.CPU, 0, 1<<40); err != nil {
		return err
	}
	return checkRange(path+".memory", r.Memory, 0, 1<<40)
}

// first returns the first error there is.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
