package http1

import "bytes"

// ParseRequest reads the head of a request that text begins with. It returns how long
// it is; 0 without an error: its end is not there yet. Errors: ErrMalformed,
// ErrTooLarge, ErrVersion, ErrCoding.
func (h *Head) ParseRequest(text []byte) (int, error) {
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
	if err = h.readRequestLine(first); err != nil {
		return 0, err
	}
	if err = h.readFields(h.raw, next); err != nil {
		return 0, err
	}
	authority := h.Host // of a target in absolute form
	h.Host = nil
	if err = h.understand(); err != nil {
		return 0, err
	}
	if err = h.checkHost(authority); err != nil {
		return 0, err
	}
	switch {
	case h.chunked:
		h.Framing = Chunked
	case h.hasLength && h.Length > 0:
		h.Framing = ByLength
	}
	return n, nil
}

func (h *Head) readRequestLine(text []byte) error {
	space := bytes.IndexByte(text, ' ')
	if space < 1 {
		return malformed("the request line has no target")
	}
	h.Method = text[:space]
	rest := text[space+1:]
	if space = bytes.IndexByte(rest, ' '); space < 1 {
		return malformed("the request line has no version")
	}
	target, version := rest[:space], rest[space+1:]
	if !all(h.Method, tokenByte) {
		return malformed("the method is no token")
	}
	if !all(target, targetByte) {
		return malformed("the target has a byte that it may not have")
	}
	switch string(version) {
	case "HTTP/1.1":
		h.Minor = 1
	case "HTTP/1.0":
	default:
		return ErrVersion
	}
	return h.readTarget(target)
}

func (h *Head) readTarget(target []byte) error {
	switch {
	case target[0] == '/':
	case len(target) == 1 && target[0] == '*' && string(h.Method) == "OPTIONS":
	default:
		var err error
		if target, err = h.readAbsolute(target); err != nil {
			return err
		}
	}
	h.Target, h.Path, h.Query = target, target, nil
	if mark := bytes.IndexByte(target, '?'); mark >= 0 {
		h.Path, h.Query = target[:mark], target[mark+1:]
	}
	if !escapesWell(h.Path) {
		return malformed("the path has a percent sign that escapes nothing")
	}
	return nil
}

// readAbsolute takes scheme and authority off a target that is a whole URL, as clients
// send it to proxies. The authority stands for Host. RFC 9112, 3.2.2.
func (h *Head) readAbsolute(target []byte) ([]byte, error) {
	for _, scheme := range []string{"http://", "https://"} {
		if len(target) > len(scheme) && EqualFold(target[:len(scheme)], scheme) {
			rest := target[len(scheme):]
			end := bytes.IndexAny(rest, "/?")
			switch {
			case end < 0:
				h.Host = rest
				return []byte("/"), nil
			case end == 0 || rest[end] == '?':
				return nil, malformed("the target has no path")
			}
			h.Host = rest[:end]
			return rest[end:], nil
		}
	}
	return nil, malformed("the target is no path")
}

func escapesWell(path []byte) bool {
	for {
		at := bytes.IndexByte(path, '%')
		if at < 0 {
			return true
		}
		if at+2 >= len(path) || class[path[at+1]]&class[path[at+2]]&hexByte == 0 {
			return false
		}
		path = path[at+3:]
	}
}

// checkHost holds the name that the request is for to one meaning.
func (h *Head) checkHost(authority []byte) error {
	switch {
	case !h.hasHost && h.Minor == 1:
		return malformed("it has no field Host")
	case len(authority) > 0 && !bytes.EqualFold(authority, h.Host):
		return malformed("its target and its field Host differ")
	case h.Minor == 1 && len(h.Host) == 0:
		return malformed("its field Host is empty")
	case !validHost(h.Host):
		return malformed("its field Host is no name or address with a port")
	}
	return nil
}

// validHost reports whether text is a name or an address, with a port or without.
func validHost(text []byte) bool {
	if len(text) > 0 && text[0] == '[' {
		end := bytes.IndexByte(text, ']')
		return end > 0 && all(text[1:end], addressByte) && validPort(text[end+1:])
	}
	name, port := text, []byte(nil)
	if colon := bytes.IndexByte(text, ':'); colon >= 0 {
		name, port = text[:colon], text[colon:]
	}
	return all(name, hostByte) && validPort(port)
}

// validPort takes the port with its colon, or nothing.
func validPort(text []byte) bool {
	if len(text) == 0 {
		return true
	}
	return text[0] == ':' && len(text) <= 6 && all(text[1:], digitByte)
}

// Idempotent reports whether the request may be sent twice without a difference.
// Source: RFC 9110, 9.2.2.
func (h *Head) Idempotent() bool {
	switch string(h.Method) {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE":
		return true
	}
	return false
}

// Client is what the relay tells targets of who asked.
type Client struct {
	For   []byte // the address
	Proto []byte // http or https
	Port  []byte // that the client asked at
}

// AppendRequest appends the head as it is sent to a target: without what is for the
// client's hop alone, and with what the relay says of the client.
func (h *Head) AppendRequest(dst []byte, client Client) []byte {
	dst = append(dst, h.Method...)
	dst = append(dst, ' ')
	dst = append(dst, h.Target...)
	dst = append(dst, " HTTP/1.1\r\n"...)
	dst = h.appendFields(dst, false)
	if h.Upgrade {
		dst = append(dst, "Connection: upgrade\r\n"...)
	}
	if h.Trailers {
		dst = append(dst, "TE: trailers\r\n"...)
	}
	dst = append(dst, "X-Forwarded-For: "...)
	for i := range h.fields {
		if h.fields[i].kind == forwardedFor && len(h.fields[i].value) > 0 {
			dst = append(dst, h.fields[i].value...)
			dst = append(dst, ", "...)
		}
	}
	dst = append(dst, client.For...)
	dst = append(dst, "\r\nX-Forwarded-Proto: "...)
	dst = append(dst, client.Proto...)
	dst = append(dst, "\r\nX-Forwarded-Port: "...)
	dst = append(dst, client.Port...)
	return append(dst, "\r\n\r\n"...)
}

// appendFields copies runs of lines that pass, not line by line. Forwarded fields of an
// answer pass.
func (h *Head) appendFields(dst []byte, answer bool) []byte {
	start, end := 0, 0
	for i := range h.fields {
		f := &h.fields[i]
		if !h.passes(f, answer) {
			continue
		}
		if f.start != end {
			dst = append(dst, h.raw[start:end]...)
			start = f.start
		}
		end = f.end
	}
	return append(dst, h.raw[start:end]...)
}

func (h *Head) passes(f *field, answer bool) bool {
	switch f.kind {
	case hop, connection, te:
		return false
	case upgrade:
		return h.Upgrade
	case forwarded, forwardedFor:
		return answer
	default:
		return true
	}
}
