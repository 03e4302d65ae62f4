package trust

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"skein/raftfsm/fleet"
)

func TestATokenReadsBackFromItsText(t *testing.T) {
	f := newFleet(t)
	for _, token := range []Token{f.joinToken(1, 0), operatorToken(t, f)} {
		got, err := ParseToken(" " + token.Text() + "\n")
		if err != nil {
			t.Fatal(err)
		}
		if got.Text() != token.Text() || got.Kind != token.Kind || got.Fleet != token.Fleet || got.ID != token.ID ||
			got.CA != token.CA {
			t.Errorf("read back %+v from %+v", got, token)
		}
	}
}

func operatorToken(t *testing.T, f *testFleet) Token {
	t.Helper()
	token, err := ParseToken(f.boot.OperatorText)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestParseTokenRefuses(t *testing.T) {
	f := newFleet(t)
	join := strings.Split(f.joinToken(1, 0).Text(), ".")
	with := func(at int, text string) string {
		parts := append([]string(nil), join...)
		parts[at] = text
		return strings.Join(parts, ".")
	}
	tests := map[string]string{
		"nothing":                         "",
		"another version":                 with(0, "skein2"),
		"a part missing":                  strings.Join(join[:4], "."),
		"a part too many":                 strings.Join(join, ".") + ".x",
		"an operator's name on a join":    with(0, "skein1o"),
		"a digest that is not hex":        with(2, strings.Repeat("g", 64)),
		"a digest in capitals":            with(2, strings.Repeat("A", 64)),
		"a short digest":                  with(2, "abcd"),
		"an empty fleet":                  with(1, ""),
		"a fleet with a slash":            with(1, "a/b"),
		"an empty id":                     with(3, ""),
		"a long id":                       with(3, strings.Repeat("a", 65)),
		"a short secret":                  with(4, "AAAA"),
		"a secret with a newline":         with(4, join[4][:5]+"\n"+join[4][5:]),
		"a secret with padding":           with(4, join[4]+"="),
		"a secret with loose bits":        with(4, join[4][:42]+"_"),
		"more characters than any token":  strings.Repeat("a", MaxTokenText+1),
		"white space within":              with(3, "t- 1"),
		"a control character in the text": with(1, "f-\x1b[2J"),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ParseToken(text)
			wantErr(t, err, ErrMalformedToken)
			if len(text) > 40 && strings.Contains(err.Error(), text[len(text)-20:]) {
				t.Errorf("error shows the token: %v", err)
			}
		})
	}
}

func TestNoWayOfPrintingATokenShowsItsSecret(t *testing.T) {
	f := newFleet(t)
	token := f.joinToken(1, 0)
	text := token.Text()
	secret := text[strings.LastIndex(text, ".")+1:]
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("token", "token", token, "secret", token.secret, "shown",
		token.Present("k"))
	slog.New(slog.NewTextHandler(&log, nil)).Info("token", "token", token, "secret", token.secret, "shown",
		token.Present("k"))
	js, err := json.Marshal([]any{token, token.secret, token.Present("k")})
	if err != nil {
		t.Fatal(err)
	}
	log.Write(js)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&log, verb, token)
		fmt.Fprintf(&log, verb, token.secret)
		fmt.Fprintf(&log, verb, token.Present("k"))
		fmt.Fprintf(&log, verb, &token)
	}
	for name, form := range map[string]string{"base64url": secret, "hex": fmt.Sprintf("%x", []byte(token.secret)),
		"decimal": strings.Trim(fmt.Sprint([]byte(token.secret)), "[]")} {
		if strings.Contains(log.String(), form) {
			t.Errorf("the secret is shown as %s", name)
		}
	}
}

func TestVerifyToken(t *testing.T) {
	tests := map[string]struct {
		change func(f *testFleet, s *PresentedToken)
		want   string // part of the reason; empty: it holds
	}{
		"a new token holds": {func(*testFleet, *PresentedToken) {}, ""},
		"an unknown id":     {func(_ *testFleet, s *PresentedToken) { s.ID = "t-0" }, "unknown or its secret is wrong"},
		"a wrong secret": {func(_ *testFleet, s *PresentedToken) { s.Secret = bytes.Repeat([]byte{1}, 32) },
			"unknown or its secret is wrong"},
		"another fleet's":       {func(_ *testFleet, s *PresentedToken) { s.Fleet = "f-other" }, "of another fleet"},
		"shown as another kind": {func(_ *testFleet, s *PresentedToken) { s.Kind = fleet.TokenOperator }, "is a join token"},
		"over by the clock":     {func(f *testFleet, _ *PresentedToken) { f.wait(time.Hour) }, "expired"},
		"over by fleet time": {func(f *testFleet, _ *PresentedToken) {
			f.wait(time.Hour)
			f.must(fleet.PutSetting{Name: "voters", Value: 3})
			f.wait(-time.Hour)
		}, "expired"},
		"used up by another key": {func(f *testFleet, s *PresentedToken) { use(f, s, "other") }, "used up"},
		"used by the same key":   {func(f *testFleet, s *PresentedToken) { use(f, s, "mine") }, ""},
		"used by the same key and over": {func(f *testFleet, s *PresentedToken) {
			use(f, s, "mine")
			f.wait(2 * time.Hour)
		}, ""},
		"deleted": {func(f *testFleet, s *PresentedToken) { f.must(fleet.DeleteToken{ID: s.ID}) }, "unknown"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			token := f.joinToken(1, time.Hour).Present("mine")
			tt.change(f, &token)
			err := VerifyToken(f.state(), token, f.clock())
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantErr(t, err, fleet.ErrTokenRefused)
			wantText(t, err.Error(), tt.want)
		})
	}
}

func use(f *testFleet, s *PresentedToken, key string) {
	f.must(fleet.AdmitHost{Token: s.ID, SecretHash: hashSecret(s.Secret),
		Host: fleet.Admission{ID: "h-" + fleet.HostID(key), Name: key, Zone: "a", Addr: addr1, PublicKey: key}})
}

func TestAnOperatorTokenDoesNotCountUses(t *testing.T) {
	f := newFleet(t)
	token := operatorToken(t, f).Present("")
	for range 3 {
		if err := VerifyToken(f.state(), token, f.clock()); err != nil {
			t.Fatal(err)
		}
	}
	f.wait(OperatorTokenLifetime)
	wantErr(t, VerifyToken(f.state(), token, f.clock()), fleet.ErrTokenRefused)
}

func FuzzParseToken(f *testing.F) {
	f.Add("skein1.f-1." + strings.Repeat("0", 64) + ".t-1." + strings.Repeat("A", 43))
	f.Add("skein1o.f-1.t-1." + strings.Repeat("A", 43))
	f.Add("skein1....")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := ParseToken(text)
		if err != nil {
			return
		}
		if got := token.Text(); got != strings.TrimSpace(text) {
			t.Errorf("%q reads as %q", text, got)
		}
	})
}
