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

func crlf(text string) []byte { return []byte(strings.ReplaceAll(text, "\n", "\r\n")) }

func TestARequestIsReadInOneWayOrNotAtAll(t *testing.T) {
	const get, post = "GET / HTTP/1.1\r\nHost: a\r\n", "POST / HTTP/1.1\r\nHost: a\r\n"
	const chunkedOnce = "Transfer-Encoding: chunked\r\n"
	tests := map[string]struct {
		text string
		want error
	}{
		"a plain request":                        {get + "\r\n", nil},
		"a body by length":                       {post + "Content-Length: 3\r\n\r\nabc", nil},
		"a chunked body":                         {post + "Transfer-Encoding: Chunked\r\n\r\n", nil},
		"a target in absolute form":              {"GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n", nil},
		"the options of the server":              {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", nil},
		"an address with a port":                 {"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", nil},
		"HTTP/1.0 without a host":                {"GET / HTTP/1.0\r\n\r\n", nil},
		"both length headers":                    {get + "Content-Length: 3\r\n" + chunkedOnce + "\r\n", ErrMalformed},
		"two equal lengths":                      {get + "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", ErrMalformed},
		"a list of lengths":                      {get + "Content-Length: 3, 3\r\n\r\n", ErrMalformed},
		"a length with a sign":                   {get + "Content-Length: +3\r\n\r\n", ErrMalformed},
		"a length that overflows":                {get + "Content-Length: 18446744073709551617\r\n\r\n", ErrMalformed},
		"two transfer codings":                   {get + "Transfer-Encoding: gzip, chunked\r\n\r\n", ErrCoding},
		"a transfer coding that is almost right": {get + "Transfer-Encoding: xchunked\r\n\r\n", ErrCoding},
		"two fields with a transfer coding":      {get + chunkedOnce + chunkedOnce + "\r\n", ErrMalformed},
		"a transfer coding of HTTP/1.0":          {"GET / HTTP/1.0\r\nHost: a\r\n" + chunkedOnce + "\r\n", ErrMalformed},
		"a bare line feed":                       {"GET / HTTP/1.1\nHost: a\r\n\r\n", ErrMalformed},
		"an end without carriage returns":        {"GET / HTTP/1.1\r\nHost: a\n\n", ErrMalformed},
		"a bare carriage return":                 {get + "X: a\rb\r\n\r\n", ErrMalformed},
		"a zero byte":                            {get + "X: a\x00b\r\n\r\n", ErrMalformed},
		"a folded line":                          {get + "X: a\r\n b\r\n\r\n", ErrMalformed},
		"a space before the colon":               {get + "Content-Length : 3\r\n\r\n", ErrMalformed},
		"a space before the first name":          {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", ErrMalformed},
		"a field without a name":                 {get + ": b\r\n\r\n", ErrMalformed},
		"two hosts":                              {get + "Host: b\r\n\r\n", ErrMalformed},
		"no host":                                {"GET / HTTP/1.1\r\nX: a\r\n\r\n", ErrMalformed},
		"a host with a user":                     {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", ErrMalformed},
		"a host with a path":                     {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", ErrMalformed},
		"a target for another host":              {"GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", ErrMalformed},
		"a fragment in the target":               {"GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n", ErrMalformed},
		"two spaces in the request line":         {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", ErrMalformed},
		"a tunnel":                               {"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", ErrMalformed},
		"an escape of nothing":                   {"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", ErrMalformed},
		"an empty line first":                    {"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", ErrMalformed},
		"a later version":                        {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", ErrVersion},
		"a version in small letters":             {"GET / http/1.1\r\nHost: a\r\n\r\n", ErrVersion},
		"Connection that names the length":       {get + "Connection: content-length\r\n\r\n", ErrMalformed},
		"a head that does not end":               {"GET / HTTP/1.1\r\nX: " + strings.Repeat("a", MaxHead), ErrTooLarge},
		"a head that ends too late":              {get + "X: " + strings.Repeat("a", MaxHead) + "\r\n\r\n", ErrTooLarge},
		"too many fields":                        {get + "" + strings.Repeat("a: b\r\n", maxFields) + "\r\n", ErrTooLarge},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var h Head
			n, err := h.ParseRequest([]byte(tt.text))
			if !errors.Is(err, tt.want) || (tt.want == nil && n == 0) {
				t.Errorf("%d bytes are a head, %v; want error %v", n, err, tt.want)
			}
		})
	}
}

func TestAHeadThatHasNotEndedIsWaitedFor(t *testing.T) {
	text := crlf("GET /a?b HTTP/1.1\nHost: a\n\n")
	var h Head
	for cut := range text {
		if n, err := h.ParseRequest(text[:cut]); n != 0 || err != nil {
			t.Fatalf("%q: %d, %v", text[:cut], n, err)
		}
	}
}

func TestWhatATargetIsSent(t *testing.T) {
	client := Client{For: []byte("192.0.2.7"), Proto: []byte("https"), Port: []byte("443")}
	said := "X-Forwarded-For: 192.0.2.7\nX-Forwarded-Proto: https\nX-Forwarded-Port: 443\n\n"
	tests := map[string]struct{ given, want string }{
		"fields for this hop are dropped": {
			"GET /a?b=c HTTP/1.1\nHost: x\nConnection: close, X-Hop\nX-Hop: 1\nKeep-Alive: 5\nAccept: */*\nTE: gzip\n" +
				"Proxy-Connection: close\nProxy: evil\nUpgrade: h2c\nCookie: a=b\n\n",
			"GET /a?b=c HTTP/1.1\nHost: x\nAccept: */*\nCookie: a=b\n" + said,
		},
		"the client cannot say who it is": {
			"GET / HTTP/1.1\nHost: x\nX-Forwarded-For: 10.0.0.1\nX_Forwarded_For: 10.0.0.2\nX-Forwarded-Proto: ftp\n" +
				"x-forwarded-port: 1\n\n",
			"GET / HTTP/1.1\nHost: x\n" + strings.Replace(said, "For: ", "For: 10.0.0.1, ", 1),
		},
		"Connection removes neither what the relay says nor what the target must know": {
			"GET / HTTP/1.1\nHost: x\nAuthorization: b\nX-Forwarded-For: 10.0.0.1\n" +
				"Connection: x-forwarded-for, authorization\n\n",
			"GET / HTTP/1.1\nHost: x\nAuthorization: b\n" + strings.Replace(said, "For: ", "For: 10.0.0.1, ", 1),
		},
		"an upgrade passes": {
			"GET / HTTP/1.1\nHost: x\nConnection: keep-alive, Upgrade\nUpgrade: websocket\nSec-WebSocket-Key: k\n\n",
			"GET / HTTP/1.1\nHost: x\nUpgrade: websocket\nSec-WebSocket-Key: k\nConnection: upgrade\n" + said,
		},
		"cleartext HTTP/2 is not upgraded to": {
			"GET / HTTP/1.1\nHost: x\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: a\n\n",
			"GET / HTTP/1.1\nHost: x\n" + said,
		},
		"the target of a proxy becomes a path": {
			"GET HTTP://x/y?z HTTP/1.1\nHost: X\n\n", "GET /y?z HTTP/1.1\nHost: X\n" + said,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var h Head
			if n, err := h.ParseRequest(crlf(tt.given)); err != nil || n == 0 {
				t.Fatal(n, err)
			}
			if got := h.AppendRequest(nil, client); string(got) != string(crlf(tt.want)) {
				t.Errorf("sent\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// What the strict parser accepts, net/http accepts too and reads alike; and so it does what
// is passed on.
func FuzzRequestsAreReadAsNetHTTPReadsThem(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\nHost: a\n\n",
		"POST /x?y=%zz HTTP/1.1\nHost: a:80\nContent-Length: 3\n\nabc",
		"PUT /x HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nTrailer: x\n\n3\nabc\n0\nx: y\n\n",
		"GET http://[::1]:8/x HTTP/1.1\nHost: [::1]:8\nConnection: upgrade, x\nUpgrade: websocket\nX: y\n\n",
		"OPTIONS * HTTP/1.1\nHost: a\nTE: trailers\nX-Forwarded-For: b\n\n",
		"GET / HTTP/1.0\n\n",
		"GET //a/../b HTTP/1.1\nHost: a\nCookie: x=1; y=2\nExpect: 100-continue\n\n",
	} {
		f.Add(crlf(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var h Head
		n, err := h.ParseRequest(text)
		if err != nil || n == 0 {
			return
		}
		same(t, &h, text[:n])
		sent := h.AppendRequest(nil, Client{For: []byte("a"), Proto: []byte("http"), Port: []byte("80")})
		var again Head
		if m, err := again.ParseRequest(sent); h.Minor == 1 && (err != nil || m != len(sent)) {
			t.Fatalf("%q is sent, which is not read: %d, %v", sent, m, err)
		} else if h.Minor == 1 {
			same(t, &again, sent)
			if again.Framing != h.Framing || again.Length != h.Length {
				t.Fatalf("%q is sent as %q", text[:n], sent)
			}
		}
	})
}

func same(t *testing.T, h *Head, text []byte) {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(io.MultiReader(bytes.NewReader(text), strings.NewReader("0\r\n\r\n"))))
	if err != nil {
		t.Fatalf("%q is accepted; net/http: %v", text, err)
	}
	if r.Method != string(h.Method) || r.Host != string(h.Host) || r.ProtoMinor != h.Minor {
		t.Fatalf("%q is %s at %s of 1.%d; net/http: %s at %s of %s", text, h.Method, h.Host, h.Minor, r.Method, r.Host,
			r.Proto)
	}
	if r.URL.RawQuery != string(h.Query) {
		t.Fatalf("%q has query %q; net/http: %q", text, h.Query, r.URL.RawQuery)
	}
	chunked := len(r.TransferEncoding) > 0
	if chunked != (h.Framing == Chunked) || !chunked && max(r.ContentLength, 0) != h.Length {
		t.Fatalf("%q has framing %d, length %d; net/http: %v, %d", text, h.Framing, h.Length, r.TransferEncoding,
			r.ContentLength)
	}
}

func BenchmarkARequestIsReadAndRewritten(b *testing.B) {
	text := crlf("GET /api/items/1234567?expand=all HTTP/1.1\nHost: shop.example\nUser-Agent: Mozilla/5.0 (X11; Linux)\n" +
		"Accept: text/html,application/xhtml+xml\nAccept-Encoding: gzip, deflate, br\nCookie: session=0123456789abcdef\n" +
		"Connection: keep-alive\nCache-Control: max-age=0\n\n")
	client := Client{For: []byte("192.0.2.7"), Proto: []byte("https"), Port: []byte("443")}
	var out []byte
	var h Head
	b.Run("strict", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := h.ParseRequest(text); err != nil {
				b.Fatal(err)
			}
			out = h.AppendRequest(out[:0], client)
		}
	})
	b.Run("floor=net/http", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text))); err != nil {
				b.Fatal(err)
			}
		}
	})
}
