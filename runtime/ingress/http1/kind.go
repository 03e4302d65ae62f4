package http1

// kind is what the relay does with a field.
type kind uint8

const (
	endToEnd kind = iota
	hop           // for this hop alone, and of no meaning to the relay
	connection
	contentLength
	transferEncoding
	host
	upgrade
	te
	cookie
	authorization
	forwardedFor
	forwarded // what the relay itself says of the client; what the client says of itself is dropped
)

// Passes reports whether a field of a client's request goes on to the target, as far as its
// name says. X-Forwarded-For does, with the client added.
func Passes(name string) bool {
	switch kindOf([]byte(name)) {
	case hop, connection, te, upgrade, forwarded:
		return false
	default:
		return true
	}
}

// kindOf knows the fields by their length first: most names are compared with none.
func kindOf(name []byte) kind {
	switch len(name) {
	case 2:
		return when(name, "te", te)
	case 4:
		return when(name, "host", host)
	case 5:
		return when(name, "proxy", hop) // would become the variable HTTP_PROXY of a CGI program
	case 6:
		return when(name, "cookie", cookie)
	case 7:
		return when(name, "upgrade", upgrade)
	case 9:
		return when(name, "forwarded", forwarded)
	case 10:
		if k := when(name, "connection", connection); k != endToEnd {
			return k
		}
		return when(name, "keep-alive", hop)
	case 13:
		return when(name, "authorization", authorization)
	case 14:
		return when(name, "content-length", contentLength)
	case 15:
		return whenForwarded(name, "x-forwarded-for", forwardedFor)
	case 16:
		if k := when(name, "proxy-connection", hop); k != endToEnd {
			return k
		}
		if k := whenForwarded(name, "x-forwarded-host", forwarded); k != endToEnd {
			return k
		}
		return whenForwarded(name, "x-forwarded-port", forwarded)
	case 17:
		if k := when(name, "transfer-encoding", transferEncoding); k != endToEnd {
			return k
		}
		return whenForwarded(name, "x-forwarded-proto", forwarded)
	case 18:
		return when(name, "proxy-authenticate", hop)
	case 19:
		return when(name, "proxy-authorization", hop)
	}
	return endToEnd
}

func when(name []byte, small string, k kind) kind {
	if EqualFold(name, small) {
		return k
	}
	return endToEnd
}

// whenForwarded also knows the name with underscores, which some servers take for the
// same: that one is dropped.
func whenForwarded(name []byte, small string, k kind) kind {
	alike := false
	for i, b := range name {
		switch {
		case lower(b) == small[i]:
		case b == '_' && small[i] == '-':
			alike = true
		default:
			return endToEnd
		}
	}
	if alike {
		return forwarded
	}
	return k
}
