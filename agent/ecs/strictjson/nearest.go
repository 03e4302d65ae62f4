package strictjson

import (
	"strings"
)

// hint ends an "unknown field" with the best help there is: a near name here,
// or the place elsewhere in the table where the name belongs.
func (t *Table) hint(at *node, name string) string {
	if near := nearest(name, at.names); near != "" {
		if strings.EqualFold(near, name) {
			return "; names are camelCase: write " + near
		}
		return "; did you mean " + near + "?"
	}
	for _, f := range t.fields {
		path := strings.TrimSuffix(f.Path, "[]")
		if path == name || strings.HasSuffix(path, "."+name) {
			return "; it belongs at " + path
		}
	}
	if len(at.names) > 0 && len(at.names) <= 8 {
		return "; known here are " + strings.Join(at.names, ", ")
	}
	return ""
}

// nearest returns the candidate closest to name, if it is close: at most one
// edit in three letters.
func nearest(name string, candidates []string) string {
	if len(name) > 64 {
		return "" // no field is that long; bounds the work below
	}
	best, distance := "", len(name)/3+1
	for _, c := range candidates {
		if d := edits(strings.ToLower(name), strings.ToLower(c)); d < distance {
			best, distance = c, d
		}
	}
	return best
}

// edits is the Levenshtein distance in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(row[j+1]+1, row[j]+1, diagonal+cost)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
