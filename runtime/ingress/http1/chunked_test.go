package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestAChunkedBodyEndsInOnePlaceOrIsRefused(t *testing.T) {
	tiny := "1;" + strings.Repeat("a", 90) + "\r\na\r\n"
	tests := map[string]struct {
		text string
		rest string
		err  error
	}{
		"chunks":                           {"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\nnext", "next", nil},
		"a trailer":                        {"0\r\nX: y\r\nZ: 1\r\n\r\nnext", "next", nil},
		"extensions":                       {"3;a=b;c=\"d e\"\r\nabc\r\n0\r\n\r\n", "", nil},
		"a size with leading zeros":        {"0003\r\nabc\r\n000\r\n\r\n", "", nil},
		"a bare line feed after a size":    {"3\nabc\r\n0\r\n\r\n", "", ErrMalformed},
		"a bare line feed in an extension": {"3;a\nabc\r\n0\r\n\r\n", "", ErrMalformed},
		"a carriage return in a size":      {"3\rx\nabc\r\n0\r\n\r\n", "", ErrMalformed},
		"a zero byte in an extension":      {"3;a\x00\r\nabc\r\n0\r\n\r\n", "", ErrMalformed},
		"a space in an extension":          {"3 ;a\r\nabc\r\n0\r\n\r\n", "", ErrMalformed},
		"an extension that does not end":   {"3;" + strings.Repeat("a", maxChunkLine), "", ErrMalformed},
		"a quote that does not end":        {"3;a=\"b\r\nabc\r\n0\r\n\r\n", "", ErrMalformed},
		"a size that is no number":         {"0x3\r\nabc\r\n", "", ErrMalformed},
		"a negative size":                  {"-1\r\n", "", ErrMalformed},
		"no size":                          {"\r\nabc", "", ErrMalformed},
		"a size that overflows":            {"10000000000000003\r\nabc", "", ErrMalformed},
		"more than the size":               {"3\r\nabcd\r\n0\r\n\r\n", "", ErrMalformed},
		"a trailer that frames":            {"0\r\nContent-Length: 5\r\n\r\n", "", ErrMalformed},
		"a trailer that poses as a client": {"0\r\nX-Forwarded-For: 5\r\n\r\n", "", ErrMalformed},
		"a trailer with a bare line feed":  {"0\r\nX: y\nZ: 1\r\n\r\n", "", ErrMalformed},
		"a trailer that does not end":      {"0\r\nX: " + strings.Repeat("a", maxTrailer), "", ErrMalformed},
		"chunks of one byte for ever":      {strings.Repeat(tiny, 1000), "", ErrMalformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var c ChunkedBody
			n, done, err := c.Scan([]byte(tt.text))
			if !errors.Is(err, tt.err) || err == nil && (!done || tt.text[n:] != tt.rest) {
				t.Errorf("%d, %t, %v", n, done, err)
			}
		})
	}
}

// However the bytes are cut into pieces, the body ends at the same byte; and where it is
// accepted, net/http reads as much data from as many bytes.
func FuzzChunkedBodiesAreReadAsNetHTTPReadsThem(f *testing.F) {
	for _, seed := range []string{
		"3\r\nabc\r\n0\r\n\r\nnext", "0\r\nX: y\r\n\r\n", "A;a=\"b\"\r\n0123456789\r\n00\r\n\r\n",
		"1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
	} {
		f.Add([]byte(seed), uint8(3))
	}
	f.Fuzz(func(t *testing.T, text []byte, piece uint8) {
		var whole, cut ChunkedBody
		n, done, err := whole.Scan(text)
		total, cutDone, cutErr := 0, false, error(nil)
		for rest := text; len(rest) > 0 && !cutDone && cutErr == nil; {
			var m int
			m, cutDone, cutErr = cut.Scan(rest[:min(len(rest), int(piece)+1)])
			total, rest = total+m, rest[m:]
		}
		if total != n || done != cutDone || (err == nil) != (cutErr == nil) {
			t.Fatalf("whole: %d, %t, %v; in pieces: %d, %t, %v", n, done, err, total, cutDone, cutErr)
		}
		if !done || err != nil {
			return
		}
		head := "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		source := bufio.NewReader(io.MultiReader(strings.NewReader(head), bytes.NewReader(text)))
		r, err := http.ReadRequest(source)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r.Body)
		if err != nil || int64(len(data)) != whole.Data() {
			t.Fatalf("%q has %d bytes of data; net/http: %d, %v", text, whole.Data(), len(data), err)
		}
		if rest, _ := io.ReadAll(source); string(rest) != string(text[n:]) {
			t.Fatalf("%q is left; net/http leaves %q", text[n:], rest)
		}
	})
}
