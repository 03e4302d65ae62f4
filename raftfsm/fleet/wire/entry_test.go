package wire_test

import (
	"bytes"
	"encoding"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

var update = flag.Bool("update", false, "add lines to testdata/entries.golden; none ever goes")

var addrs = cmpopts.EquateComparable(netip.AddrPort{}, netip.Addr{}, netip.Prefix{})

// Every registered command goes through the codec with all fields set, so that
// a new command or field cannot be forgotten.
func TestEveryCommandComesBackAsItWas(t *testing.T) {
	for _, k := range fleet.Kinds() {
		t.Run(k.String(), func(t *testing.T) {
			want := fleet.Entry{At: 7, Items: []fleet.Item{{Command: filled(t, k), Receipt: receipt(), By: "me", Reason: "why"}}}
			b, err := wire.EncodeEntry(want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := wire.DecodeEntry(b)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(want, got) {
				t.Error(cmp.Diff(want, got, cmp.Exporter(func(reflect.Type) bool { return true })))
			}
			if again, _ := wire.EncodeEntry(got); !bytes.Equal(b, again) {
				t.Errorf("encoded again it is %x, was %x", again, b)
			}
		})
	}
}

// The log of a running fleet holds entries like these: a line that changes or
// goes breaks it. A field added to a command gives its kind another line, so the
// encodings of all former builds stay and are read and written back as they were.
// Numbers of kinds and fields are never used again.
func TestEntriesAreEncodedAsEver(t *testing.T) {
	const golden = "testdata/entries.golden"
	b, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	lines := slices.Collect(strings.Lines(string(b)))
	for _, line := range lines {
		checkGoldenLine(t, line)
	}
	var all strings.Builder
	for _, k := range fleet.Kinds() {
		prefix := fmt.Sprintf("%d ", k)
		b, err := wire.EncodeEntry(
			fleet.Entry{At: 7, Items: []fleet.Item{{Command: filled(t, k), Receipt: receipt(), By: "me", Reason: "why"}}})
		if err != nil {
			t.Fatal(err)
		}
		now := fmt.Sprintf("%s%s %x\n", prefix, k, b)
		for _, line := range lines {
			if strings.HasPrefix(line, prefix) && line != now {
				all.WriteString(line)
			}
		}
		all.WriteString(now)
		if !*update && !slices.Contains(lines, now) {
			t.Errorf("the format of the log changed; where a field was added, run with -update, which adds this line to %s:\n%s",
				golden, now)
		}
	}
	if *update {
		if err := os.WriteFile(golden, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// checkGoldenLine proves that an entry of some former build is read, and that
// writing it again gives its bytes.
func checkGoldenLine(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(line)
	if len(words) != 3 {
		t.Fatalf("golden line %q", line)
	}
	old, err := hex.DecodeString(words[2])
	if err != nil {
		t.Fatalf("golden line %q: %v", line, err)
	}
	e, err := wire.DecodeEntry(old)
	if err != nil {
		t.Errorf("an entry of a former build is not read: %s: %v", words[1], err)
		return
	}
	if got := fmt.Sprint(uint16(e.Items[0].Command.Kind())); got != words[0] {
		t.Errorf("kind %s is read as %s", words[0], got)
	}
	if again, err := wire.EncodeEntry(e); err != nil || !bytes.Equal(again, old) {
		t.Errorf("an entry of a former build (%s) is written back as\n%x (%v), was\n%x", words[1], again, err, old)
	}
}

// Integer keys are the format, so a field without one would be spelled out and
// one that is used twice would be lost.
func TestEveryFieldHasItsOwnNumber(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var check func(reflect.Type)
	check = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			check(typ.Elem())
		case reflect.Struct:
			if typ.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
				return
			}
			if seen[typ] || typ.PkgPath() != reflect.TypeFor[fleet.Host]().PkgPath() {
				return
			}
			seen[typ] = true
			numbers := map[string]string{}
			for i := range typ.NumField() {
				f := typ.Field(i)
				if f.Anonymous && f.Type.NumField() == 0 {
					continue // fields of builds to come
				}
				number, rest, _ := strings.Cut(f.Tag.Get("cbor"), ",")
				if number == "" || strings.Trim(number, "0123456789") != "" || !strings.HasPrefix(rest, "keyasint") {
					t.Errorf("%s.%s: tag %q", typ, f.Name, f.Tag)
				}
				if other := numbers[number]; other != "" {
					t.Errorf("%s: %s and %s have number %s", typ, f.Name, other, number)
				}
				numbers[number] = f.Name
				check(f.Type)
			}
		}
	}
	for _, k := range fleet.Kinds() {
		check(reflect.TypeOf(filled(t, k)))
	}
	for table := range fleet.Tables() {
		row, _ := fleet.NewRow(table)
		check(reflect.TypeOf(row))
	}
	check(reflect.TypeFor[fleet.Wanted]())
	check(reflect.TypeFor[fleet.CapacityReport]())
	check(reflect.TypeFor[fleet.Served]())
	if len(seen) < 45 {
		t.Errorf("only %d types were looked at", len(seen))
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	b, err := cbor.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecodeEntryRefuses(t *testing.T) {
	type m = map[int]any
	body := func(v any) cbor.RawMessage { return encode(t, v) }
	item := func(kind int, v any) m { return m{1: 7, 2: []m{{1: kind, 2: body(v)}}} }
	deep := any(1)
	for range 40 {
		deep = []any{deep}
	}
	entry := func(v any) []byte { return append([]byte{1}, encode(t, v)...) }
	for name, tt := range map[string]struct {
		b    []byte
		err  error
		want string
	}{
		"nothing":                       {nil, wire.ErrCorrupt, "no bytes"},
		"another version":               {append([]byte{2}, entry(m{1: 7})[1:]...), wire.ErrFormat, "version 2"},
		"an unknown kind":               {entry(item(999, m{})), wire.ErrFormat, "command kind 999"},
		"an unknown field of the entry": {entry(m{1: 7, 9: 1}), wire.ErrFormat, "unknown field 9"},
		"an unknown field of an item": {entry(m{1: 7, 2: []m{{1: 9, 2: body(m{}), 17: 1}}}), wire.ErrFormat,
			"unknown field 2[0].17"},
		"an unknown field of a command": {entry(item(9, m{1: "h", 5: 1})), wire.ErrFormat,
			"cordon-host: decode *fleet.CordonHost: unknown field 5"},
		"an unknown field of a row": {entry(item(13, m{1: "web", 2: m{6: []m{{1: "app", 99: 1}}}})), wire.ErrFormat,
			"unknown field 2.6[0].99"},
		"a field of another type":          {entry(item(9, m{1: 5})), wire.ErrCorrupt, "cordon-host"},
		"a text that is no UTF-8":          {entry(item(9, m{1: "\xff"})), wire.ErrCorrupt, "UTF-8"},
		"a number that is too large":       {entry(item(17, m{4: 1, 1: "x", 2: 1 << 40})), wire.ErrCorrupt, "run-tasks"},
		"the same field twice":             {append([]byte{1}, 0xa2, 1, 7, 1, 7), wire.ErrCorrupt, "duplicate"},
		"nesting without end":              {entry(m{1: 7, 2: deep}), wire.ErrCorrupt, "nested level"},
		"bytes after the end":              {append(entry(m{1: 7}), 0), wire.ErrCorrupt, "extraneous"},
		"half of it":                       {entry(item(9, m{1: "h"}))[:9], wire.ErrCorrupt, "EOF"},
		"a list that claims to be endless": {append([]byte{1}, 0xa1, 2, 0x9f, 0xff), wire.ErrCorrupt, "indefinite"},
		"a list longer than its bytes": {append([]byte{1}, 0xa1, 2, 0x9a, 0xff, 0xff, 0xff, 0xff), wire.ErrCorrupt,
			"max number of elements"},
		"more than an entry may have": {make([]byte, wire.MaxFrame+2), wire.ErrTooLarge, "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := wire.DecodeEntry(tt.b)
			if !errors.Is(err, tt.err) || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("\n got: %v\nwant: %v with %q", err, tt.err, tt.want)
			}
		})
	}
}

func TestEncodeEntryRefusesWhatNobodyCouldRead(t *testing.T) {
	for name, tt := range map[string]struct {
		item fleet.Item
		err  error
	}{
		"no command":              {fleet.Item{}, wire.ErrFormat},
		"a text that is no UTF-8": {fleet.Item{Command: fleet.CordonHost{Host: "h", Why: "\xff"}}, wire.ErrCorrupt},
		"a reason that is none":   {fleet.Item{Command: fleet.CordonHost{Host: "h"}, Reason: "\xff"}, wire.ErrCorrupt},
		"too many tasks": {fleet.Item{Command: fleet.CreateTasks{Tasks: make([]fleet.TaskID, 40_000)}},
			wire.ErrCorrupt},
		"too many bytes": {fleet.Item{Command: fleet.CordonHost{Why: strings.Repeat("x", wire.MaxFrame)}}, wire.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := wire.EncodeEntry(fleet.Entry{Items: []fleet.Item{tt.item}}); !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
		})
	}
}

func TestRowsComeBackAsTheyWere(t *testing.T) {
	for table := range fleet.Tables() {
		want, _ := fleet.NewRow(table)
		for _, full := range []bool{false, true} {
			if full {
				fill(reflect.ValueOf(want).Elem())
			}
			b, err := wire.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := fleet.NewRow(table)
			if err := wire.Unmarshal(b, got); err != nil {
				t.Fatalf("%T: %v", want, err)
			}
			if diff := cmp.Diff(want, got, addrs); diff != "" {
				t.Errorf("%T: %s", want, diff)
			}
		}
	}
}
