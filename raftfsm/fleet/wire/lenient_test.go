package wire_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"skein/raftfsm/fleet/wire"
)

// older is a message as one build has it, newer as the next one does.
type older struct {
	Name  string         `cbor:"1,keyasint"`
	Parts []olderPart    `cbor:"2,keyasint,omitempty"`
	Tags  map[string]int `cbor:"4,keyasint,omitempty"`
}

type olderPart struct {
	N int `cbor:"1,keyasint"`
}

type newer struct {
	Name  string           `cbor:"1,keyasint"`
	Parts []newerPart      `cbor:"2,keyasint,omitempty"`
	Why   map[string][]any `cbor:"3,keyasint,omitempty"`
	Tags  map[string]int   `cbor:"4,keyasint,omitempty"`
	Share float64          `cbor:"5,keyasint,omitempty"`
	Big   uint64           `cbor:"300,keyasint,omitempty"`
}

type newerPart struct {
	N    int      `cbor:"1,keyasint"`
	Note []string `cbor:"7,keyasint,omitempty"`
}

func TestAFieldOfANewerAgentIsSkipped(t *testing.T) {
	b, err := wire.Marshal(newer{
		Name: "h1", Parts: []newerPart{{1, []string{"a", "é"}}, {N: 2}}, Tags: map[string]int{"x": 1, "y": 2},
		Why:   map[string][]any{"deep": {1, "two", []byte{3, 0xff}, nil, true, 1.5, -4, map[string]int{"a": 1, "bb": 2}}},
		Share: 0.25, Big: 1 << 60,
	})
	if err != nil {
		t.Fatal(err)
	}
	got := older{Name: "what was there before", Tags: map[string]int{"old": 1}}
	if err := wire.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(older{"h1", []olderPart{{1}, {2}}, map[string]int{"x": 1, "y": 2}}, got); diff != "" {
		t.Error(diff)
	}
	var stream bytes.Buffer
	if err := wire.WriteFrame(&stream, newer{Name: "h2", Share: 1}); err != nil {
		t.Fatal(err)
	}
	if err := wire.ReadFrame(&stream, &got); err != nil || got.Name != "h2" {
		t.Errorf("of a frame: %+v, %v", got, err)
	}
}

func TestAMessageOfAnOlderAgentIsRead(t *testing.T) {
	b, err := wire.Marshal(older{Name: "h1", Parts: []olderPart{{1}}})
	if err != nil {
		t.Fatal(err)
	}
	var got newer
	if err := wire.Unmarshal(b, &got); err != nil || got.Name != "h1" || len(got.Parts) != 1 || got.Share != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestWhatIsSkippedIsChecked(t *testing.T) {
	nested := "\x01"
	for range 40 {
		nested = "\x81" + nested
	}
	for name, tt := range map[string]struct {
		b    string
		want string
	}{
		"a text that is no UTF-8":                  {"\xa1\x07\x61\xff", "UTF-8"},
		"such a text deep inside":                  {"\xa1\x07\x81\xa1\x01\x82\x00\x62\xc3\x28", "UTF-8"},
		"such a text as a key":                     {"\xa1\x07\xa1\x61\xff\x01", "UTF-8"},
		"a field that comes twice":                 {"\xa2\x07\x01\x07\x02", "twice"},
		"a key that comes twice inside":            {"\xa1\x07\xa2\x01\x01\x01\x02", "twice"},
		"a known field that comes twice":           {"\xa3\x01\x61a\x07\x01\x01\x61b", "twice"},
		"nesting without end":                      {"\xa1\x07" + nested, "nested level"},
		"a list longer than its bytes":             {"\xa1\x07\x9a\xff\xff\xff\xff", "max number of elements"},
		"a map longer than its bytes":              {"\xa1\x07\xba\xff\xff\xff\xff", "max number of key-value pairs"},
		"an endless list":                          {"\xa1\x07\x9f\xff", "indefinite"},
		"a tag":                                    {"\xa1\x07\xc1\x01", "tag"},
		"bytes after the end":                      {"\xa1\x07\x01\x00", "extraneous"},
		"a text longer than its bytes":             {"\xa1\x07\x64a", "EOF"},
		"a known field of another type beside one": {"\xa2\x01\x05\x07\x01", "cannot unmarshal"},
	} {
		t.Run(name, func(t *testing.T) {
			var v older
			err := wire.Unmarshal([]byte(tt.b), &v)
			if !errors.Is(err, wire.ErrCorrupt) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// What is skipped must not cost more than it weighs: a list of 32,000 empty lists
// of lists would be megabytes if it were decoded.
func TestWhatIsSkippedIsNotKept(t *testing.T) {
	list := make([][]any, 4000)
	for i := range list {
		list[i] = make([]any, 200)
	}
	b, err := cbor.Marshal(map[int]any{7: list})
	if err != nil {
		t.Fatal(err)
	}
	n := testing.Benchmark(func(b2 *testing.B) {
		b2.ReportAllocs()
		for b2.Loop() {
			var v older
			if err := wire.Unmarshal(b, &v); err != nil {
				b2.Fatal(err)
			}
		}
	}).AllocedBytesPerOp()
	if n > 64<<10 {
		t.Errorf("%d bytes were allocated for a message of %d", n, len(b))
	}
}

// Whatever is read leniently is well-formed in all its parts.
func FuzzUnmarshal(f *testing.F) {
	b, err := wire.Marshal(newer{Name: "h1", Parts: []newerPart{{1, []string{"a"}}}, Why: map[string][]any{"a": {1, "b"}},
		Big: 1 << 40})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("\xa1\x07\xa2\x01\x01\x02\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var v older
		if err := wire.Unmarshal(b, &v); err != nil {
			return
		}
		var again older
		out, err := wire.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := wire.Unmarshal(out, &again); err != nil {
			t.Fatal(err)
		}
	})
}
