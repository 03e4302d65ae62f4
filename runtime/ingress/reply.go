package ingress

import (
	"net/http"
	"net/url"
	"strconv"

	"skein/raftfsm/fleet"
)

// What clients are told when the ingress answers in a target's place.
const (
	bodyTooLarge = "the body is larger than this listener takes"
	noRule       = "no rule takes this request"
	noTarget     = "no target can take this request"
	noAnswer     = "the target has closed the connection, or answered with no HTTP"
	tooLate      = "the target has not answered in time"
)

// appendAnswer appends a whole answer of the ingress itself.
func appendAnswer(dst []byte, status int, contentType, body string, closing, head bool) []byte {
	dst = appendStatus(dst, status)
	if contentType != "" {
		dst = append(dst, "Content-Type: "...)
		dst = append(dst, contentType...)
		dst = append(dst, "\r\n"...)
	}
	return appendEnd(dst, status, body, closing, head)
}

func appendStatus(dst []byte, status int) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, http.StatusText(status)...)
	return append(dst, "\r\n"...)
}

// appendEnd ends the head and appends the body, if the answer has any: head and bodiless
// answers have none.
func appendEnd(dst []byte, status int, body string, closing, head bool) []byte {
	if !fleet.HasNoBody(status) {
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, int64(len(body)), 10)
		dst = append(dst, "\r\n"...)
	}
	if closing {
		dst = append(dst, "Connection: close\r\n"...)
	}
	dst = append(dst, "\r\n"...)
	if head || fleet.HasNoBody(status) {
		return dst
	}
	return append(dst, body...)
}

// appendRedirect appends the answer of a redirect.
func appendRedirect(dst []byte, status int, location string, closing bool) []byte {
	dst = appendStatus(dst, status)
	dst = append(dst, "Location: "...)
	dst = append(dst, location...)
	dst = append(dst, "\r\n"...)
	return appendEnd(dst, status, "", closing, true)
}

// asked is what a client asked for, of which a redirect keeps what it does not change.
type asked struct {
	scheme, host, path, query string
	port                      int // of the listener
}

// location is where a redirect leads.
func location(r *fleet.Redirect, a asked) string {
	scheme := a.scheme
	if r.Protocol != "" {
		scheme = map[string]string{"HTTP": "http", "HTTPS": "https"}[r.Protocol]
	}
	to := url.URL{Scheme: scheme, Host: or(r.Host, a.host)}
	port := a.port
	if r.Port != 0 {
		port = r.Port
	} else if scheme != a.scheme {
		port = usualPort(scheme)
	}
	if port != usualPort(scheme) {
		to.Host += ":" + strconv.Itoa(port)
	}
	text := to.String() + or(r.Path, a.path)
	if query := or(r.Query, a.query); query != "" {
		text += "?" + query
	}
	return text
}

func usualPort(scheme string) int {
	if scheme == "https" {
		return 443
	}
	return 80
}

func or(first, second string) string {
	if first != "" {
		return first
	}
	return second
}
