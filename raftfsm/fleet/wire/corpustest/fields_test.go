package corpustest

import (
	"maps"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

type first struct {
	Name  string            `cbor:"1,keyasint"`
	Parts []part            `cbor:"2,keyasint,omitempty"`
	Addr  netip.AddrPort    `cbor:"3,keyasint"`
	Tags  map[string]string `cbor:"5,keyasint,omitempty"`
}

type part struct {
	N    int     `cbor:"1,keyasint"`
	Hash []byte  `cbor:"2,keyasint"`
	In   *part   `cbor:"3,keyasint"`
	Load float64 `cbor:"4,keyasint"`
}

func fieldsOf(v any) map[string]field {
	fields := map[string]field{}
	addFields(fields, "cbor", "thing ", reflect.TypeOf(v), 1, nil)
	return fields
}

func TestEveryFieldIsListed(t *testing.T) {
	want := map[string]field{
		"thing 1": {shape: "string", since: 1}, "thing 2": {shape: "list-of-struct", since: 1},
		"thing 2[].1": {shape: "integer", since: 1}, "thing 2[].2": {shape: "bytes", since: 1},
		"thing 2[].3": {shape: "struct", since: 1}, "thing 2[].4": {shape: "float", since: 1},
		"thing 3": {shape: "netip.AddrPort", since: 1}, "thing 5": {shape: "map-of-string", since: 1},
	}
	got := fieldsOf(first{})
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	name := filepath.Join(t.TempDir(), "corpus", "fields")
	if err := writeFields(name, map[string]field{"thing 4": {shape: "bool", since: 1}}, got); err != nil {
		t.Fatal(err)
	}
	read, err := readFields(name)
	want["thing 4"] = field{shape: "bool", since: 1, removed: true}
	if err != nil || !maps.Equal(read, want) {
		t.Errorf("read %v, %v", read, err)
	}
}

// A struct that is a field without a name shares the keys of what has it.
func TestAKeyOfTwoFieldsIsAnError(t *testing.T) {
	type carrier struct {
		Kind int `cbor:"4,keyasint"`
		part
	}
	now := fieldsOf(carrier{})
	got := compareFields(now, now, 1, 1, false)
	if len(got) != 1 || !strings.Contains(got[0], "thing 4 is the key of two fields") {
		t.Errorf("got %q", got)
	}
}

func TestAFieldThatOtherAgentsWouldMisreadIsAnError(t *testing.T) {
	known := map[string]field{
		"thing 1": {shape: "string", since: 1},
		"thing 4": {shape: "integer", since: 1, removed: true},
		"thing 6": {shape: "integer", since: 2},
	}
	set := func(key, shape string, since int) func(map[string]field) {
		return func(f map[string]field) { f[key] = field{shape: shape, since: since} }
	}
	for name, tt := range map[string]struct {
		change    func(map[string]field)
		recording bool
		want      string // empty: nothing to say
	}{
		"nothing has changed":                   {func(map[string]field) {}, false, ""},
		"a field of the open format":            {set("thing 7", "integer", 2), true, ""},
		"one that is not recorded":              {set("thing 7", "integer", 2), false, "-record"},
		"a field without the format it is of":   {set("thing 7", "integer", 1), true, "tag the field `since:\"2\"`"},
		"a field of a format yet to come":       {set("thing 7", "integer", 9), true, "raise codeFormat"},
		"a key of a removed field used again":   {set("thing 4", "integer", 2), true, "the next unused one"},
		"a field of another type":               {set("thing 1", "integer", 1), true, "was string"},
		"a field that changed the format it is": {set("thing 6", "integer", 1), true, "came with format 2"},
		"a field that is gone": {func(f map[string]field) { delete(f, "thing 1") }, false,
			"not to be used again"},
		"a field that is gone, recorded": {func(f map[string]field) { delete(f, "thing 1") }, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			now := maps.Clone(known)
			delete(now, "thing 4")
			tt.change(now)
			got := strings.Join(compareFields(known, now, 2, 2, tt.recording), "; ")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestFieldsAreSortedByNumber(t *testing.T) {
	got := slices.SortedFunc(slices.Values([]string{"b 2", "a 10", "a 2[].11", "a 2[].3", "a 2"}), byNumber)
	if want := []string{"a 2", "a 2[].3", "a 2[].11", "a 10", "b 2"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
