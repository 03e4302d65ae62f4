package strictjson

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Object reads the members of one JSON object and collects what is wrong with
// them. A member that is absent or null gives the default; so does one that is
// refused, so that reading goes on to the next problem.
type Object struct {
	path     string
	value    Value
	problems *Problems
}

// Root wraps a document, refusing one that is not an object.
func Root(doc Value, p *Problems) *Object {
	if doc.kind != Map {
		p.Refuse("", "the document is %s, must be an object", doc.kind)
	}
	return &Object{value: doc, problems: p}
}

// Has reports whether a member is there and not null.
func (o *Object) Has(name string) bool { return o.get(name).kind > Null }

// Kind is the kind of a member, 0 when it is absent.
func (o *Object) Kind(name string) Kind { return o.get(name).kind }

// Empty reports whether a member is the string "".
func (o *Object) Empty(name string) bool {
	v := o.get(name)
	return v.kind == Text && v.text == ""
}

// Length is the number of entries of a list member, 0 for anything else.
func (o *Object) Length(name string) int { return len(o.get(name).items) }

// Path is the full path of a member.
func (o *Object) Path(name string) string { return Join(o.path, name) }

// Refuse refuses a member.
func (o *Object) Refuse(name, format string, args ...any) {
	path := o.path
	if name != "" {
		path = o.Path(name)
	}
	o.problems.Refuse(path, format, args...)
}

// Warn warns about a member.
func (o *Object) Warn(name, format string, args ...any) {
	o.problems.Warn(o.Path(name), format, args...)
}

func (o *Object) get(name string) Value { return o.value.Member(name) }

// typed returns a member of the wanted kind; ok is false when it is absent,
// null or refused.
func (o *Object) typed(name string, want Kind, must string) (v Value, ok bool) {
	v = o.get(name)
	if v.kind <= Null {
		return v, false
	}
	if v.kind != want {
		o.Refuse(name, "is %s, must be %s", v.kind, must)
		return v, false
	}
	return v, true
}

// Text reads a string of at most most bytes without NUL.
func (o *Object) Text(name string, most int) string {
	v, ok := o.typed(name, Text, "a string")
	if !ok || !o.plain(name, v.text, most) {
		return ""
	}
	return v.text
}

func (o *Object) plain(name, text string, most int) bool {
	if len(text) > most {
		o.Refuse(name, "%d bytes, at most %d", len(text), most)
		return false
	}
	if strings.IndexByte(text, 0) >= 0 {
		o.Refuse(name, "holds a NUL character")
		return false
	}
	return true
}

// Bool reads true or false.
func (o *Object) Bool(name string, otherwise bool) bool {
	v, ok := o.typed(name, Bool, "true or false")
	if !ok {
		return otherwise
	}
	return v.text == "true"
}

// Int reads a whole number from low to high.
func (o *Object) Int(name string, otherwise, low, high int64) int64 {
	v, ok := o.typed(name, Number, "a whole number")
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseInt(v.text, 10, 64)
	if err != nil {
		o.Refuse(name, "%s is not a whole number (%d to %d)", Show(v.text), low, high)
		return otherwise
	}
	if !o.within(name, n, low, high) {
		return otherwise
	}
	return n
}

func (o *Object) within(name string, n, low, high int64) bool {
	if n < low {
		o.Refuse(name, "%d is below %d (%d to %d)", n, low, low, high)
		return false
	}
	if n > high {
		o.Refuse(name, "%d is above %d (%d to %d)", n, high, low, high)
		return false
	}
	return true
}

// Decimal reads a number from low to high that is a whole multiple of step, and returns
// how many steps it is.
func (o *Object) Decimal(name string, otherwise int64, low, high, step float64) int64 {
	v, ok := o.typed(name, Number, "a number")
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseFloat(v.text, 64)
	if err != nil || n < low || n > high {
		o.Refuse(name, "%s is not within %g to %g", Show(v.text), low, high)
		return otherwise
	}
	steps := math.Round(n / step)
	if math.Abs(n/step-steps) > 1e-6 {
		o.Refuse(name, "%s is no multiple of %g (%g to %g)", Show(v.text), step, low, high)
		return otherwise
	}
	return int64(steps)
}

// Number reads a number that has a value in 64 bits.
func (o *Object) Number(name string, otherwise float64) float64 {
	v, ok := o.typed(name, Number, "a number")
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseFloat(v.text, 64)
	if err != nil {
		o.Refuse(name, "%s is out of range", Show(v.text))
		return otherwise
	}
	return n
}

// JSON is a member as it was written, without white space; nil when it is absent or null.
func (o *Object) JSON(name string) []byte {
	v := o.get(name)
	if v.kind <= Null {
		return nil
	}
	return v.appendJSON(nil)
}

// TextOrInt reads a string, or a whole number as its digits.
func (o *Object) TextOrInt(name string, most int) string {
	if v := o.get(name); v.kind == Number {
		return v.text
	}
	return o.Text(name, most)
}

// Texts reads a list of strings.
func (o *Object) Texts(name string, most, mostBytes int) []string {
	v, ok := o.list(name, most)
	if !ok {
		return nil
	}
	texts := make([]string, 0, len(v.items))
	for i, item := range v.items {
		at := fmt.Sprintf("%s[%d]", name, i)
		if item.kind != Text {
			o.Refuse(at, "is %s, must be a string", item.kind)
		} else if o.plain(at, item.text, mostBytes) {
			texts = append(texts, item.text)
		}
	}
	return texts
}

func (o *Object) list(name string, most int) (Value, bool) {
	v, ok := o.typed(name, List, "a list")
	if ok && len(v.items) > most {
		o.Refuse(name, "%d entries, at most %d", len(v.items), most)
		return v, false
	}
	return v, ok
}

// Objects reads a list of objects; entries that are none are refused and left
// out.
func (o *Object) Objects(name string, most int) []*Object {
	v, ok := o.list(name, most)
	if !ok {
		return nil
	}
	objects := make([]*Object, 0, len(v.items))
	for i, item := range v.items {
		at := fmt.Sprintf("%s[%d]", name, i)
		if item.kind != Map {
			o.Refuse(at, "is %s, must be an object", item.kind)
			continue
		}
		objects = append(objects, &Object{o.Path(at), item, o.problems})
	}
	return objects
}

// Object reads an object; nil when it is absent, null or refused.
func (o *Object) Object(name string) *Object {
	v, ok := o.typed(name, Map, "an object")
	if !ok {
		return nil
	}
	return &Object{o.Path(name), v, o.problems}
}

// Choice reads a string out of a closed set; the first is the default.
func (o *Object) Choice(name string, allowed ...string) string {
	v, ok := o.typed(name, Text, "a string")
	if !ok {
		return allowed[0]
	}
	for _, a := range allowed {
		if v.text == a {
			return a
		}
	}
	o.Refuse(name, "%q is not known; allowed are %s", Show(v.text), strings.Join(allowed, ", "))
	return allowed[0]
}

// Names are the member names of the object, in document order.
func (o *Object) Names() []string {
	names := make([]string, len(o.value.members))
	for i, m := range o.value.members {
		names[i] = m.Name
	}
	return names
}
