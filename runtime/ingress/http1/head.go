package http1

import (
	"bytes"
	"errors"
)

const (
	// MaxHead is how many bytes a head may have. Source: the limit of ELB and of HAProxy's
	// default buffer, doubled.
	MaxHead = 32 << 10
	// maxFields bounds the fields of a head.
	maxFields = 200
	// maxOptions bounds the fields that a head makes hop-by-hop: each is looked for among all.
	maxOptions = 16
)

// Framing says where the body of a message ends.
type Framing uint8

// The framings.
const (
	NoBody Framing = iota
	ByLength
	Chunked
	UntilClose // answers alone
)

// Head is the first part of a message: its line and its fields.
type Head struct {
	raw    []byte
	fields []field

	// Of a request.
	Method []byte
	Target []byte // as it is passed on: the path with its query, or "*"
	Path   []byte
	Query  []byte // without its question mark
	Host   []byte // as asked for, with its port

	// Of an answer.
	Status int
	reason []byte

	Minor   int // of HTTP/1.x
	Framing Framing
	Length  int64 // where Framing is ByLength
	// KeepAlive is whether the sender means to go on with its connection.
	KeepAlive bool
	// Upgrade is whether the sender asks to speak, or speaks from here on, another
	// protocol than HTTP.
	Upgrade bool
	// Trailers is whether the sender takes trailers.
	Trailers bool

	closes     bool
	keeps      bool
	upgrades   bool // Connection says upgrade
	hasUpgrade bool // there is a field Upgrade
	toHTTP2    bool // which names HTTP/2
	hasLength  bool
	chunked    bool
	hasHost    bool
	dropped    int // fields that a Connection field names: they are for this hop alone
}

type field struct {
	kind       kind
	start, end int // of the whole line in raw, with its end
	name       []byte
	value      []byte
}

var (
	// ErrMalformed says that a head or a chunk is not as RFC 9112 has it, or can be read
	// in two ways.
	ErrMalformed = errors.New("malformed HTTP/1.1 message")
	// ErrTooLarge says that a head has more bytes or fields than it may.
	ErrTooLarge = errors.New("head of the HTTP/1.1 message is too large")
	// ErrVersion says that the message is not HTTP/1.0 or HTTP/1.1.
	ErrVersion = errors.New("HTTP version is not supported")
	// ErrCoding says that the body has a transfer coding other than chunked.
	ErrCoding = errors.New("transfer coding is not supported")
)

func malformed(why string) error { return &malformedError{why} }

type malformedError struct{ why string }

func (e *malformedError) Error() string { return ErrMalformed.Error() + ": " + e.why }

func (e *malformedError) Is(target error) bool { return target == ErrMalformed }

func (h *Head) reset() {
	fields := h.fields[:0]
	*h = Head{fields: fields}
}

// whole returns how long the head is that text begins with; 0: its end is not there yet.
func whole(text []byte) (int, error) {
	end := bytes.Index(text, []byte("\r\n\r\n"))
	if end < 0 {
		if len(text) > MaxHead {
			return 0, ErrTooLarge
		}
		// An end without carriage returns is refused at once and not waited for.
		if bytes.Contains(text, []byte("\n\n")) || bytes.Contains(text, []byte("\n\r\n")) {
			return 0, malformed("a line ends without a carriage return")
		}
		return 0, nil
	}
	if end+4 > MaxHead {
		return 0, ErrTooLarge
	}
	return end + 4, nil
}

// line returns the line that begins at start, without its end, and where the next begins.
func line(raw []byte, start int) (text []byte, next int, err error) {
	end := bytes.IndexByte(raw[start:], '\n')
	if end < 1 || raw[start+end-1] != '\r' {
		return nil, 0, malformed("a line ends without a carriage return")
	}
	return raw[start : start+end-1], start + end + 1, nil
}

// readFields reads the fields from start to the empty line.
func (h *Head) readFields(raw []byte, start int) error {
	for {
		text, next, err := line(raw, start)
		if err != nil {
			return err
		}
		if len(text) == 0 {
			return nil
		}
		if len(h.fields) == maxFields {
			return ErrTooLarge
		}
		f, err := readField(text)
		if err != nil {
			return err
		}
		f.start, f.end = start, next
		h.fields = append(h.fields, f)
		start = next
	}
}

func readField(text []byte) (field, error) {
	colon := bytes.IndexByte(text, ':')
	if colon < 1 {
		return field{}, malformed("a field has no name")
	}
	// A name with a space before its colon, and a folded line, fail here.
	name := text[:colon]
	if !all(name, tokenByte) {
		return field{}, malformed("the name of a field has a byte that it may not have")
	}
	value := trim(text[colon+1:])
	if !all(value, valueByte) {
		return field{}, malformed("the value of a field has a byte that it may not have")
	}
	return field{kind: kindOf(name), name: name, value: value}, nil
}

// understand draws from the fields what the relay must know.
func (h *Head) understand() error {
	for i := range h.fields {
		if err := h.note(&h.fields[i]); err != nil {
			return err
		}
	}
	if h.chunked && h.hasLength {
		return malformed("it has both Content-Length and Transfer-Encoding")
	}
	if h.chunked && h.Minor == 0 {
		return malformed("it is HTTP/1.0 with a Transfer-Encoding")
	}
	if h.dropped > maxOptions {
		return malformed("Connection names too many fields")
	}
	h.KeepAlive = !h.closes && (h.Minor == 1 || h.keeps)
	h.Upgrade = h.upgrades && h.hasUpgrade && !h.toHTTP2 && h.Minor == 1
	return h.markDropped()
}

func (h *Head) note(f *field) error {
	switch f.kind {
	case contentLength:
		length, ok := parseLength(f.value)
		if h.hasLength || !ok {
			return malformed("Content-Length is not one number")
		}
		h.hasLength, h.Length = true, length
	case transferEncoding:
		if h.chunked {
			return malformed("it has two fields Transfer-Encoding")
		}
		if !EqualFold(f.value, "chunked") {
			return ErrCoding
		}
		h.chunked = true
	case host:
		if h.hasHost {
			return malformed("it has two fields Host")
		}
		h.hasHost, h.Host = true, f.value
	case connection:
		elements(f.value, h.noteConnection)
	case upgrade:
		// Cleartext HTTP/2 is not asked for in this way: a relay that let it pass would no
		// longer see the requests. RFC 9113, 3.1.
		h.hasUpgrade = true
		elements(f.value, func(protocol []byte) bool {
			h.toHTTP2 = h.toHTTP2 || EqualFold(protocol, "h2c") || EqualFold(protocol, "h2")
			return true
		})
	case te:
		elements(f.value, func(coding []byte) bool {
			h.Trailers = h.Trailers || EqualFold(coding, "trailers")
			return true
		})
	default:
	}
	return nil
}

func (h *Head) noteConnection(option []byte) bool {
	switch {
	case EqualFold(option, "close"):
		h.closes = true
	case EqualFold(option, "keep-alive"):
		h.keeps = true
	case EqualFold(option, "upgrade"):
		h.upgrades = true
	default:
		h.dropped++
	}
	return true
}

// markDropped makes hop-by-hop fields of those that Connection names.
func (h *Head) markDropped() (err error) {
	if h.dropped == 0 {
		return nil
	}
	for i := range h.fields {
		if h.fields[i].kind != connection {
			continue
		}
		elements(h.fields[i].value, func(option []byte) bool {
			err = h.drop(option)
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (h *Head) drop(option []byte) error {
	switch kindOf(option) {
	case contentLength, transferEncoding, host:
		return malformed("Connection names a field that frames the message")
	case forwarded, authorization, cookie:
		return nil // for the target, whatever the client says
	default:
	}
	for i := range h.fields {
		if h.fields[i].kind == endToEnd && bytes.EqualFold(h.fields[i].name, option) {
			h.fields[i].kind = hop
		}
	}
	return nil
}

// parseLength reads a number of at most 18 digits, so that none overflows.
func parseLength(text []byte) (int64, bool) {
	if len(text) == 0 || len(text) > 18 {
		return 0, false
	}
	var n int64
	for _, b := range text {
		if b < '0' || b > '9' {
			return 0, false
		}
		n = n*10 + int64(b-'0')
	}
	return n, true
}

// Values calls each with the value of every field of the name, which is in small
// letters, until it returns false.
func (h *Head) Values(name string, each func([]byte) bool) {
	for i := range h.fields {
		if EqualFold(h.fields[i].name, name) && !each(h.fields[i].value) {
			return
		}
	}
}

// HasFraming reports whether the head says how long its body is.
func (h *Head) HasFraming() bool { return h.chunked || h.hasLength }
