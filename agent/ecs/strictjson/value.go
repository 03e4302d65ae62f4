package strictjson

import "encoding/json"

// Kind is the type of a JSON value.
type Kind uint8

// The kinds.
const (
	Null Kind = iota + 1
	Bool
	Number
	Text
	List
	Map
)

// String names the kind for people, with its article.
func (k Kind) String() string {
	switch k {
	case Null:
		return "null"
	case Bool:
		return "true or false"
	case Number:
		return "a number"
	case Text:
		return "a string"
	case List:
		return "a list"
	case Map:
		return "an object"
	default:
		return "nothing"
	}
}

// Value is one JSON value. Numbers keep their literal, so that none is rounded.
type Value struct {
	kind    Kind
	text    string // Text: the string; Number: the literal; Bool: "true" or "false"
	items   []Value
	members []Member // in the document's order, names unique
}

// Member is one name and value of an object.
type Member struct {
	Name  string
	Value Value
}

// Kind tells the value's type.
func (v Value) Kind() Kind { return v.kind }

// Members are an object's members in the document's order; nil for other kinds.
func (v Value) Members() []Member { return v.members }

// Member returns an object's member by name; the zero Value when it is absent.
func (v Value) Member(name string) Value {
	for _, m := range v.members {
		if m.Name == name {
			return m.Value
		}
	}
	return Value{}
}

// Idle reports whether the value asks for nothing: absent, null, false, "", or
// a list or object that holds only idle values. Tools print such values for
// fields nobody set, so they are accepted where the field itself is not.
func (v Value) Idle() bool {
	switch v.kind {
	case Bool:
		return v.text == "false"
	case Number:
		return false
	case Text:
		return v.text == ""
	case List:
		return len(v.items) == 0
	case Map:
		for _, m := range v.members {
			if !m.Value.Idle() {
				return false
			}
		}
		return true
	default:
		return true
	}
}

// With returns a copy of an object with one more member at its end.
func (v Value) With(name string, member Value) Value {
	v.members = append(v.members[:len(v.members):len(v.members)], Member{name, member})
	return v
}

// appendJSON appends the value as JSON without white space.
func (v Value) appendJSON(to []byte) []byte {
	switch v.kind {
	case Number, Bool:
		return append(to, v.text...)
	case Text:
		return appendText(to, v.text)
	case List:
		to = append(to, '[')
		for i, item := range v.items {
			to = item.appendJSON(comma(to, i))
		}
		return append(to, ']')
	case Map:
		to = append(to, '{')
		for i, m := range v.members {
			to = append(appendText(comma(to, i), m.Name), ':')
			to = m.Value.appendJSON(to)
		}
		return append(to, '}')
	default:
		return append(to, "null"...)
	}
}

func comma(to []byte, i int) []byte {
	if i > 0 {
		return append(to, ',')
	}
	return to
}

func appendText(to []byte, text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string has always a form in JSON
	}
	return append(to, quoted...)
}
