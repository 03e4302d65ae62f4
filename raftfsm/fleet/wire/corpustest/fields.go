package corpustest

import (
	"bufio"
	"encoding"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"skein/raftfsm/fleet"
)

// openFormat is the format to which fields may still be added.
const openFormat = fleet.ClosedFormat + 1

// fieldsFile lists every field that was ever written, one a line:
//
//	open-session 14 integer 1
//
// which says that of the thing "open-session" the key 14 holds an integer, since
// format 1. Below a key of a list or of a map stands "[]"; "removed" at the end says
// that the field is gone, and that its key must stay unused.
var fieldsFile = filepath.Join(root, "fields")

// field is what the file says of one key.
type field struct {
	shape   string
	since   int
	removed bool
	twice   bool // two fields of this build have the key
}

// Later is a thing that came after the first format, with all its fields.
type Later struct {
	Since int
	Of    any
}

// CheckFields holds the types of what a package writes to the list of their fields:
// a field added without the format that brought it, a key used again, and a field
// of another type are errors, since an agent of another build would misread them.
// things maps a name that never changes ("open-session") to a value of its type; one
// that ends in ".json" is of a file in JSON, whose keys are names.
func CheckFields(t *testing.T, things map[string]any) {
	t.Helper()
	known, err := readFields(fieldsFile)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	now := map[string]field{}
	for name, v := range things {
		tag := "cbor"
		if strings.HasSuffix(name, ".json") {
			tag = "json"
		}
		since := 1
		if later, is := v.(Later); is {
			since, v = later.Since, later.Of
		}
		addFields(now, tag, name+" ", reflect.TypeOf(v), since, nil)
	}
	for _, problem := range compareFields(known, now, openFormat, fleet.FormatVersion, *record) {
		t.Error(problem)
	}
	if *record && !t.Failed() {
		if err := writeFields(fieldsFile, known, now); err != nil {
			t.Fatal(err)
		}
	}
}

// compareFields says what is wrong with the fields of this build, and what to do.
func compareFields(known, now map[string]field, open, reads int, recording bool) (problems []string) {
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for _, key := range slices.Sorted(maps.Keys(now)) {
		is := now[key]
		was, old := known[key]
		switch {
		case is.twice:
			say("%s is the key of two fields, of which none would be written: give one of them the next unused one", key)
		case old && was.removed:
			say("%s: the key was that of a field that is gone, and an older agent takes it for that: use the next unused one",
				key)
		case old && was.shape != is.shape:
			say("%s is %s, and was %s: other agents read and write it as that; leave it, and add a field with the next "+
				"unused key",
				key, is.shape, was.shape)
		case old && was.since != is.since:
			say("%s came with format %d, not %d: its tag must go on saying so", key, was.since, is.since)
		case !old && is.since < open:
			say("%s is new, and format %d is closed: agents of it run. Raise codeFormat of package fleet to %d unless it is "+
				"that already, and tag the field `since:\"%d\"`", key, open-1, open, open)
		case !old && is.since > reads:
			say("%s is to come with format %d, and this build reads %d: raise codeFormat of package fleet", key, is.since, reads)
		case !old && !recording:
			say("%s is new and not listed: run the test with -record, and commit what it adds to %s", key, fieldsFile)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(known)) {
		if _, there := now[key]; !there && !known[key].removed && !recording {
			say("%s is gone, but older agents may still write it: run the test with -record, which marks its key as "+
				"not to be used again", key)
		}
	}
	return problems
}

// addFields notes the fields of a type below a path. A field of a field is as new as
// the newest of the two.
func addFields(to map[string]field, tag, path string, t reflect.Type, since int, within []reflect.Type) {
	for {
		switch {
		case opaque(t):
			return
		case t.Kind() == reflect.Pointer:
			t = t.Elem()
			continue
		case t.Kind() == reflect.Slice || t.Kind() == reflect.Map:
			path, t = path+"[]", t.Elem()
			continue
		}
		break
	}
	if t.Kind() != reflect.Struct || slices.Contains(within, t) {
		return
	}
	within = append(slices.Clone(within), t)
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			addFields(to, tag, path, f.Type, since, within)
			continue
		}
		key := keyOf(f, tag)
		if key == "" {
			continue
		}
		at := path + "." + key
		if strings.HasSuffix(path, " ") {
			at = path + key
		}
		came := max(since, fleet.Since(f))
		_, twice := to[at]
		to[at] = field{shape: shapeOf(f.Type), since: came, twice: twice}
		addFields(to, tag, at, f.Type, came, within)
	}
}

// keyOf is a field's key on the wire; empty for one that is not written.
func keyOf(f reflect.StructField, tag string) string {
	text, tagged := f.Tag.Lookup(tag)
	key, _, _ := strings.Cut(text, ",")
	switch {
	case !f.IsExported() || key == "-":
		return ""
	case !tagged || key == "":
		return f.Name
	}
	return key
}

var (
	textMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	binaryMarshaler = reflect.TypeFor[encoding.BinaryMarshaler]()
)

// opaque reports whether a type encodes itself.
func opaque(t reflect.Type) bool { return t.Implements(textMarshaler) || t.Implements(binaryMarshaler) }

// shapeOf is what a field's type is on the wire.
func shapeOf(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return shapeOf(t.Elem())
	case t.Implements(binaryMarshaler):
		return t.String()
	case t.Implements(textMarshaler):
		return "string"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return "bytes"
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "integer"
	case reflect.Float32, reflect.Float64:
		return "float"
	case reflect.Slice, reflect.Array:
		return "list-of-" + shapeOf(t.Elem())
	case reflect.Map:
		return "map-of-" + shapeOf(t.Elem())
	default:
		return t.Kind().String()
	}
}

func readFields(name string) (map[string]field, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	known := map[string]field{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 4 {
			return nil, fmt.Errorf("%s: %q is no field", name, lines.Text())
		}
		since, err := strconv.Atoi(words[3])
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", name, lines.Text(), err)
		}
		known[words[0]+" "+words[1]] = field{shape: words[2], since: since, removed: len(words) > 4}
	}
	return known, lines.Err()
}

// writeFields writes what was ever written: what is new, and what is gone.
func writeFields(name string, known, now map[string]field) error {
	all := maps.Clone(now)
	for key, was := range known {
		if _, there := now[key]; !there {
			was.removed = true
			all[key] = was
		}
	}
	var text strings.Builder
	for _, key := range slices.SortedFunc(maps.Keys(all), byNumber) {
		fmt.Fprintf(&text, "%s %s %d", key, all[key].shape, all[key].since)
		if all[key].removed {
			text.WriteString(" removed")
		}
		text.WriteByte('\n')
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(text.String()), 0o644)
}

// byNumber sorts 2 before 10.
func byNumber(a, b string) int {
	x, y := strings.FieldsFunc(a, apart), strings.FieldsFunc(b, apart)
	return slices.CompareFunc(x, y, func(a, b string) int {
		n, errA := strconv.Atoi(a)
		m, errB := strconv.Atoi(b)
		if errA == nil && errB == nil {
			return n - m
		}
		return strings.Compare(a, b)
	})
}

func apart(r rune) bool { return strings.ContainsRune(" .[]", r) }
