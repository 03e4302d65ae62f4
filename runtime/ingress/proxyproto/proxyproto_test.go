package proxyproto

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestHeadersOfBothVersions(t *testing.T) {
	four := Header{netip.MustParseAddrPort("192.0.2.1:56324"), netip.MustParseAddrPort("192.0.2.2:443")}
	six := Header{netip.MustParseAddrPort("[2001:db8::1]:1"), netip.MustParseAddrPort("[2001:db8::2]:2")}
	tests := map[string]struct {
		text string
		want Header
		err  error
	}{
		"text, IPv4":                {"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", four, nil},
		"text, IPv6":                {"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", six, nil},
		"text, unknown":             {"PROXY UNKNOWN ffff::1 x 1 2\r\n", Header{}, nil},
		"text, unknown, short":      {"PROXY UNKNOWN\r\n", Header{}, nil},
		"binary, IPv4":              {string(Append(nil, four)), four, nil},
		"binary, IPv6":              {string(Append(nil, six)), six, nil},
		"binary, the relay itself":  {string(Append(nil, Header{})), Header{}, nil},
		"binary, a Unix socket":     {string(signature) + "\x21\x31\x00\x02ab", Header{}, nil},
		"no header":                 {"GET / HTTP/1.1\r\n", Header{}, ErrMalformed},
		"an address of the wrong":   {"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", Header{}, ErrMalformed},
		"a port that is none":       {"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", Header{}, ErrMalformed},
		"a bare line feed":          {"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", Header{}, ErrMalformed},
		"no end":                    {"PROXY " + strings.Repeat("x", maxText), Header{}, ErrMalformed},
		"binary, another version":   {string(signature) + "\x11\x11\x00\x00", Header{}, ErrMalformed},
		"binary, another command":   {string(signature) + "\x22\x11\x00\x00", Header{}, ErrMalformed},
		"binary, cut off addresses": {string(signature) + "\x21\x11\x00\x02ab", Header{}, ErrMalformed},
		"binary, too long":          {string(signature) + "\x21\x11\xff\xff", Header{}, ErrMalformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, n, err := Parse([]byte(tt.text + "next"))
			if !errors.Is(err, tt.err) || err == nil && (got != tt.want || n != len(tt.text)) {
				t.Errorf("%+v of %d bytes, %v", got, n, err)
			}
			if tt.err != nil {
				return
			}
			for cut := range tt.text {
				if _, n, err = Parse([]byte(tt.text[:cut])); n != 0 || err != nil {
					t.Fatalf("cut off at %d: %d, %v", cut, n, err)
				}
			}
		})
	}
}

func FuzzHeadersAreReadWithinTheirBytes(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"))
	f.Add(Append(nil, Header{}))
	f.Fuzz(func(t *testing.T, text []byte) {
		header, n, err := Parse(text)
		if n > len(text) || err != nil && header != (Header{}) {
			t.Fatalf("%+v of %d bytes, %v", header, n, err)
		}
		if n == 0 || !header.Source.IsValid() {
			return
		}
		again, m, err := Parse(Append(nil, header))
		if err != nil || m == 0 || again != header {
			t.Fatalf("%+v is written, and read as %+v, %v", header, again, err)
		}
	})
}
