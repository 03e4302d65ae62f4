package http1

import (
	"errors"
	"testing"
)

func TestAnswersEndWhereTheirHeadsSay(t *testing.T) {
	const coded = "Transfer-Encoding: chunked\n\n"
	const ok, ok0 = "HTTP/1.1 200 OK\n", "HTTP/1.0 200 OK\n"
	tests := map[string]struct {
		text string
		head bool
		want Framing
		keep bool
		err  error
	}{
		"by length":                   {ok + "Content-Length: 5\n\n", false, ByLength, true, nil},
		"chunked":                     {ok + "Transfer-Encoding: chunked\n\n", false, Chunked, true, nil},
		"until the connection closes": {ok + "\n", false, UntilClose, false, nil},
		"an answer to HEAD":           {ok + "Content-Length: 5\n\n", true, NoBody, true, nil},
		"not modified":                {"HTTP/1.1 304\nContent-Length: 5\n\n", false, NoBody, true, nil},
		"no content":                  {"HTTP/1.1 204 \n\n", false, NoBody, true, nil},
		"an empty body":               {ok + "Content-Length: 0\nConnection: close\n\n", false, NoBody, false, nil},
		"a hint before the answer":    {"HTTP/1.1 103 Early Hints\nLink: x\n\n", false, NoBody, true, nil},
		"HTTP/1.0 that goes on": {
			ok0 + "Connection: keep-alive\nContent-Length: 1\n\n", false, ByLength, true, nil,
		},
		"both length headers":               {ok + "Content-Length: 5\n" + coded, false, 0, false, ErrMalformed},
		"a coded answer that has no body":   {"HTTP/1.1 204 OK\n" + coded, false, 0, false, ErrMalformed},
		"a status of two digits":            {"HTTP/1.1 20 OK\n\n", false, 0, false, ErrMalformed},
		"another protocol":                  {"SSH-2.0-OpenSSH_9.2\n\n", false, 0, false, ErrMalformed},
		"a field with a space in its name":  {ok + "Content Length: 5\n\n", false, 0, false, ErrMalformed},
		"a version that is not spoken here": {"HTTP/1.3 200 OK\n\n", false, 0, false, ErrVersion},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var h Head
			_, err := h.ParseAnswer(crlf(tt.text), tt.head)
			if !errors.Is(err, tt.err) || err == nil && (h.Framing != tt.want || h.KeepAlive != tt.keep) {
				t.Errorf("framing %d, keep alive %t, %v", h.Framing, h.KeepAlive, err)
			}
		})
	}
}

func TestWhatAClientIsSent(t *testing.T) {
	text := "HTTP/1.0 200 Fine\nConnection: keep-alive\nKeep-Alive: timeout=5\nX-Forwarded-For: a\nContent-Length: 1\n\n"
	var h Head
	if _, err := h.ParseAnswer(crlf(text), false); err != nil {
		t.Fatal(err)
	}
	want := "HTTP/1.1 200 Fine\nX-Forwarded-For: a\nContent-Length: 1\nSet-Cookie: a=b\nConnection: close\n\n"
	if got := h.AppendAnswer(nil, true, crlf("Set-Cookie: a=b\n")); string(got) != string(crlf(want)) {
		t.Errorf("sent\n%s", got)
	}
}

func TestCookiesAreFoundByTheirWholeName(t *testing.T) {
	for pairs, want := range map[string]string{
		"a=1": "1", "b=2; a=1": "1", "aa=2;a=1; a=3": "1", "xa=1": "", "a": "", "": "", "a=": "",
	} {
		if got := CookieOf([]byte(pairs), "a"); string(got) != want {
			t.Errorf("%q: %q, want %q", pairs, got, want)
		}
	}
}
