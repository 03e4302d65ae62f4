package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"skein/raftfsm/fleet"
)

// MaxDepth is how deep lists and objects may nest: far deeper than any real
// document (ECS needs 7), and shallow enough for a recursive reader.
const MaxDepth = 64

// maxValues bounds the memory of one document: as many as fit into 64 KiB, the
// most that a definition may have.
const maxValues = 32 << 10

// Sentinels of documents that are refused before any field is looked at.
var (
	ErrTooLarge = errors.New("document is too large")
	ErrSyntax   = errors.New("not valid JSON")
)

// SyntaxError says where a document stops being JSON. It wraps ErrSyntax.
type SyntaxError struct {
	Line, Column int // from 1, at or just behind the fault; columns count bytes
	Why          string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s: line %d, column %d: %s", ErrSyntax, e.Line, e.Column, e.Why)
}

// Unwrap makes errors.Is(err, ErrSyntax) true.
func (e *SyntaxError) Unwrap() error { return ErrSyntax }

// Parse reads exactly one JSON value of at most limit bytes. Errors:
// ErrTooLarge, a *SyntaxError, or a *fleet.FieldError for a name given twice.
func Parse(data []byte, limit int) (Value, error) {
	if len(data) > limit {
		return Value{}, fmt.Errorf("%w: %d bytes, at most %d are read", ErrTooLarge, len(data), limit)
	}
	p := &parser{data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	if at := invalidUTF8(data); at >= 0 {
		return Value{}, p.syntax(int64(at), "a byte that is not UTF-8")
	}
	p.dec.UseNumber()
	v, err := p.value(nil, 0)
	if err != nil {
		return Value{}, err
	}
	if _, err := p.dec.Token(); err != io.EOF {
		return Value{}, p.syntax(p.dec.InputOffset(), "something follows the document's end")
	}
	return v, nil
}

func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

type parser struct {
	data   []byte
	dec    *json.Decoder
	values int
}

func (p *parser) syntax(offset int64, why string) error {
	before := p.data[:min(max(offset, 0), int64(len(p.data)))]
	return &SyntaxError{
		Line:   bytes.Count(before, []byte("\n")) + 1,
		Column: len(before) - bytes.LastIndexByte(before, '\n'),
		Why:    why,
	}
}

func (p *parser) token() (json.Token, error) {
	t, err := p.dec.Token()
	if err == nil {
		return t, nil
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return nil, p.syntax(syntax.Offset, syntax.Error())
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, p.syntax(int64(len(p.data)), "the document ends too early")
	}
	return nil, p.syntax(p.dec.InputOffset(), err.Error())
}

// place is where the parser stands; it becomes text only when it is needed.
type place struct {
	within *place
	name   string // of a member; empty in a list
	index  int
}

func (at *place) String() string {
	switch {
	case at == nil:
		return ""
	case at.name == "":
		return at.within.String() + "[" + strconv.Itoa(at.index) + "]"
	}
	return Join(at.within.String(), at.name)
}

func (p *parser) value(at *place, depth int) (Value, error) {
	t, err := p.token()
	if err != nil {
		return Value{}, err
	}
	if p.values++; p.values > maxValues {
		return Value{}, p.syntax(p.dec.InputOffset()-1, fmt.Sprintf("more than %d values", maxValues))
	}
	switch t := t.(type) {
	case nil:
		return Value{kind: Null}, nil
	case bool:
		return Value{kind: Bool, text: strconv.FormatBool(t)}, nil
	case json.Number:
		return Value{kind: Number, text: t.String()}, nil
	case string:
		return Value{kind: Text, text: t}, nil
	default: // the decoder refuses a bracket that closes where a value is expected
		if depth++; depth > MaxDepth {
			return Value{}, p.syntax(p.dec.InputOffset()-1, fmt.Sprintf("nested deeper than %d", MaxDepth))
		}
		if t == json.Delim('[') {
			return p.list(at, depth)
		}
		return p.object(at, depth)
	}
}

func (p *parser) list(at *place, depth int) (Value, error) {
	v := Value{kind: List}
	here := &place{within: at}
	for p.dec.More() {
		here.index = len(v.items)
		item, err := p.value(here, depth)
		if err != nil {
			return Value{}, err
		}
		v.items = append(v.items, item)
	}
	_, err := p.token()
	return v, err
}

func (p *parser) object(at *place, depth int) (Value, error) {
	v := Value{kind: Map}
	here := &place{within: at}
	seen := map[string]bool{}
	for p.dec.More() {
		t, err := p.token()
		if err != nil {
			return Value{}, err
		}
		name, ok := t.(string)
		if !ok {
			return Value{}, p.syntax(p.dec.InputOffset()-1, "a name was expected")
		}
		here.name = name
		if seen[name] {
			return Value{}, &fleet.FieldError{Field: Show(here.String()), Why: "given twice in one object; keep one"}
		}
		seen[name] = true
		member, err := p.value(here, depth)
		if err != nil {
			return Value{}, err
		}
		v.members = append(v.members, Member{name, member})
	}
	_, err := p.token()
	return v, err
}

// Join appends a member's name to a path.
func Join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
