package wire

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// loose decodes anything well-formed, to say what in it is unknown.
var loose = mustLooseMode()

func mustLooseMode() cbor.DecMode {
	mode, err := cbor.DecOptions{MaxNestedLevels: maxDepth, MaxArrayElements: maxElements,
		MaxMapPairs: maxElements}.DecMode()
	if err != nil {
		panic(err) // the options above are constants
	}
	return mode
}

// unknownField is the path, by key numbers, of the first field of a value that
// its type does not have: "3[0].7".
func unknownField(b []byte, t reflect.Type) string {
	var v any
	if _, err := loose.UnmarshalFirst(b, &v); err != nil {
		return "?"
	}
	if path := unknownIn(v, t); path != "" {
		return strings.TrimPrefix(path, ".")
	}
	return "?"
}

func unknownIn(v any, t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := v.(type) {
	case map[any]any:
		if t.Kind() == reflect.Struct {
			return unknownKey(v, fieldsOf(t))
		}
	case []any:
		if t.Kind() == reflect.Slice {
			return unknownElement(v, t.Elem())
		}
	}
	return ""
}

func unknownKey(v map[any]any, fields map[string]reflect.Type) string {
	keys := map[string]any{}
	for key := range v {
		keys[fmt.Sprint(key)] = key
	}
	names := make([]string, 0, len(keys))
	for name := range keys {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t, known := fields[name]
		if !known {
			return "." + name
		}
		if path := unknownIn(v[keys[name]], t); path != "" {
			return "." + name + path
		}
	}
	return ""
}

func unknownElement(v []any, t reflect.Type) string {
	for i, e := range v {
		if path := unknownIn(e, t); path != "" {
			return "[" + strconv.Itoa(i) + "]" + path
		}
	}
	return ""
}

// fieldsOf maps the keys of a struct's fields to their types.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("cbor"), ",")
		if key == "" {
			key = f.Name
		}
		fields[key] = f.Type
	}
	return fields
}
