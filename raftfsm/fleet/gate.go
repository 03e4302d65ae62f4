package fleet

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
)

// Gate keeps commands, fields and values out of the log until the fleet's format is
// raised to the one that brought them: a voter that does not know them stops there, or
// applies them otherwise. A kind has its format in registry, a field that came after
// its kind in a tag, `since:"2"`, a value that came after its field in growing.
type Gate struct {
	// Kinds replaces the formats of kinds; nil for those of this build.
	Kinds map[Kind]int
}

// Needs is the lowest format of a fleet at which a command may be proposed as it
// is: that of its kind, or of the newest field that is set in it.
func (g Gate) Needs(c Command) int {
	since := registry[c.Kind()].since
	if g.Kinds != nil {
		since = g.Kinds[c.Kind()]
	}
	format := max(1, since)
	if is, known := gatedCommands[reflect.TypeOf(c)]; is || !known {
		format = max(format, fieldsNeed(reflect.ValueOf(c), false))
	}
	return format
}

// Fit returns items as they may be proposed at a format. What hosts say of
// themselves (OpenSession, Report) loses the fields that are newer: an agent that
// was upgraded says more than the fleet may note yet. Any other command that needs
// a newer format is refused with ErrFormatAhead.
func (g Gate) Fit(items []Item, format int) ([]Item, error) {
	if format >= FormatVersion && g.Kinds == nil {
		return items, nil
	}
	var fitted []Item
	for i, item := range items {
		if item.Command == nil || g.Needs(item.Command) <= format {
			continue
		}
		trimmed, ok := trim(item.Command, format)
		if !ok || g.Needs(trimmed) > format {
			return nil, refuse(ErrFormatAhead, "%s needs format %d, the fleet is at %d", item.Command.Kind(),
				g.Needs(item.Command), format)
		}
		if fitted == nil {
			fitted = append(fitted, items...)
		}
		fitted[i].Command = trimmed
	}
	if fitted != nil {
		return fitted, nil
	}
	return items, nil
}

// trim takes out the fields of a host's word that a format does not have yet.
func trim(c Command, format int) (Command, bool) {
	switch c.Kind() {
	case KindOpenSession, KindReport:
		return without(reflect.ValueOf(c), format).Interface().(Command), true
	default:
		return c, false
	}
}

// AsRead is a value as an agent whose build reads a format sees it when it decodes
// leniently: fields that came later are skipped. The value itself does not change,
// and a value without such fields is returned as it is.
func AsRead[T any](v T, reads int) T {
	if reads >= newest(reflect.TypeFor[T]()) {
		return v
	}
	return without(reflect.ValueOf(&v).Elem(), reads).Interface().(T)
}

// Outgrown is the format that an entry raises the fleet to, where that is more than
// a build reads: it must not apply the entry, since others may read otherwise what
// follows. Else 0. Whether the entry raises the format, only applying it tells.
func (s *State) Outgrown(index uint64, e Entry, reads int) int {
	for _, item := range e.Items {
		if c, is := item.Command.(RaiseFormat); is && c.Format > reads {
			trial := s.Clone()
			trial.Apply(index, e)
			if format := trial.format(); format > reads {
				return format
			}
		}
	}
	return 0
}

// growing holds the types whose values came with different formats though the fields
// that have them are older, and the format that a value needs; 0 means 1. A set that
// gets a member (a cause, a protocol, a setting's name) is put here with it.
var growing = map[reflect.Type]func(reflect.Value) int{
	reflect.TypeFor[Subject](): func(v reflect.Value) int { return v.Interface().(Subject).needs() },
}

// fieldsNeed is the highest format among the fields that are set in a value, or 0;
// with obey, among those that a host must not skip.
func fieldsNeed(v reflect.Value, obey bool) (format int) {
	if !gated(v.Type()) {
		return 0
	}
	if needs, grows := growing[v.Type()]; grows {
		return needs(v)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			format = fieldsNeed(v.Elem(), obey)
		}
	case reflect.Slice:
		for i := range v.Len() {
			format = max(format, fieldsNeed(v.Index(i), obey))
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			format = max(format, fieldsNeed(it.Value(), obey))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !f.IsExported() || v.Field(i).IsZero() {
				continue
			}
			if since, skip := sinceTag(f); !skip || !obey {
				format = max(format, since, fieldsNeed(v.Field(i), obey))
			}
		}
	}
	return format
}

// without is a copy of a value in which fields newer than a format are zero.
func without(v reflect.Value, format int) reflect.Value {
	if !gated(v.Type()) || v.IsZero() {
		return v
	}
	out := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.Pointer:
		out.Set(reflect.New(v.Type().Elem()))
		out.Elem().Set(without(v.Elem(), format))
	case reflect.Slice:
		out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			out.Index(i).Set(without(v.Index(i), format))
		}
	case reflect.Map:
		out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
		for it := v.MapRange(); it.Next(); {
			out.SetMapIndex(it.Key(), without(it.Value(), format))
		}
	case reflect.Struct:
		out.Set(v)
		for i := range v.NumField() {
			switch f := v.Type().Field(i); {
			case !f.IsExported():
			case Since(f) > format:
				out.Field(i).SetZero()
			default:
				out.Field(i).Set(without(v.Field(i), format))
			}
		}
	}
	return out
}

// Since is the format that brought a field of a message, a command or a row.
func Since(f reflect.StructField) int {
	format, _ := sinceTag(f)
	return format
}

// sinceTag reads a field's tag: `since:"2"`, or `since:"2,skip"` of a field that does
// no harm where a host skips it.
func sinceTag(f reflect.StructField) (format int, skip bool) {
	text, tagged := f.Tag.Lookup("since")
	if !tagged {
		return 1, false
	}
	if text == "next" { // in builds with the tag nextformat
		return codeFormat + 1, false
	}
	number, option, _ := strings.Cut(text, ",")
	n, err := strconv.Atoi(number)
	if err != nil || n < 2 || option != "" && option != "skip" {
		panic(fmt.Sprintf("fleet: field %s: since %q is no format from 2 on", f.Name, text))
	}
	return n, option == "skip"
}

// gatedCommands holds, for each registered type, whether it is gated: asked for
// every command, while most have nothing to ask of. Written by command alone.
var gatedCommands = map[reflect.Type]bool{}

// newestOf is what newest has found out.
var newestOf sync.Map // reflect.Type -> int

// gated reports whether a type has a field that came after the first format, or one
// whose values may have, at any depth.
func gated(t reflect.Type) bool { return newest(t) > 1 }

// newest is the format of the newest field of a type, at any depth; 1 where none came
// later than the first. A field whose values may have counts as of this build's. No type
// of a command contains itself.
func newest(t reflect.Type) int {
	if format, known := newestOf.Load(t); known {
		return format.(int)
	}
	format := 1
	if _, grows := growing[t]; grows {
		format = max(2, FormatVersion)
	} else {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			format = newest(t.Elem())
		case reflect.Struct:
			for i := range t.NumField() {
				if f := t.Field(i); f.IsExported() {
					format = max(format, Since(f), newest(f.Type))
				}
			}
		}
	}
	newestOf.Store(t, format)
	return format
}
