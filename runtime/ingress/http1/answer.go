package http1

import (
	"bytes"
	"strconv"
)

// ParseAnswer reads the head of an answer to a request of the method that text begins
// with. It returns how long it is; 0 without an error: its end is not there yet.
func (h *Head) ParseAnswer(text []byte, head bool) (int, error) {
	n, err := whole(text)
	if n == 0 {
		return 0, err
	}
	h.reset()
	h.raw = text[:n:n]
	first, next, err := line(h.raw, 0)
	if err != nil {
		return 0, err
	}
	if err = h.readStatusLine(first); err != nil {
		return 0, err
	}
	if err = h.readFields(h.raw, next); err != nil {
		return 0, err
	}
	if err = h.understand(); err != nil {
		return 0, err
	}
	h.Upgrade = h.Upgrade && h.Status == 101
	h.Framing = h.answerFraming(head)
	if h.chunked && (h.Status < 200 || h.Status == 204) {
		return 0, malformed("an answer that has no body has a Transfer-Encoding")
	}
	return n, nil
}

func (h *Head) readStatusLine(text []byte) error {
	const line = "HTTP/1.1 200"
	if len(text) < len(line) || string(text[:7]) != line[:7] || text[8] != ' ' {
		return malformed("the answer has no status line")
	}
	switch text[7] {
	case '1':
		h.Minor = 1
	case '0':
	default:
		return ErrVersion
	}
	status, ok := parseLength(text[9:12])
	if !ok || status < 100 {
		return malformed("the status is no number from 100 to 999")
	}
	h.Status = int(status)
	if rest := text[12:]; len(rest) > 0 {
		if rest[0] != ' ' || !all(rest, valueByte) {
			return malformed("the status line has a byte that it may not have")
		}
		h.reason = rest[1:]
	}
	return nil
}

// answerFraming is RFC 9112, 6.3.
func (h *Head) answerFraming(head bool) Framing {
	switch {
	case head || h.Status < 200 || h.Status == 204 || h.Status == 304:
		return NoBody
	case h.chunked:
		return Chunked
	case h.hasLength && h.Length == 0:
		return NoBody
	case h.hasLength:
		return ByLength
	default:
		h.KeepAlive = false
		return UntilClose
	}
}

// AppendAnswer appends the head as it is sent to a client. Lines are added as they are;
// each ends with CRLF. Closing says that the client's connection ends with this answer.
func (h *Head) AppendAnswer(dst []byte, closing bool, lines ...[]byte) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(h.Status), 10)
	dst = append(dst, ' ')
	dst = append(dst, h.reason...)
	dst = append(dst, "\r\n"...)
	dst = h.appendFields(dst, true)
	for _, line := range lines {
		dst = append(dst, line...)
	}
	switch {
	case h.Upgrade:
		dst = append(dst, "Connection: upgrade\r\n"...)
	case closing:
		dst = append(dst, "Connection: close\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// Cookie returns the value of the cookie of the name; nil: the request has none.
func (h *Head) Cookie(name string) (value []byte) {
	for i := range h.fields {
		if h.fields[i].kind == cookie {
			if value = CookieOf(h.fields[i].value, name); value != nil {
				return value
			}
		}
	}
	return nil
}

// CookieOf is Cookie of one field's value.
func CookieOf(pairs []byte, name string) []byte {
	for len(pairs) > 0 {
		pair, rest, _ := bytes.Cut(pairs, []byte{';'})
		pairs = rest
		key, value, found := bytes.Cut(trim(pair), []byte{'='})
		if found && string(key) == name {
			return value
		}
	}
	return nil
}
