package wire_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

func TestFramesComeBackOneByOne(t *testing.T) {
	var want fleet.Wanted
	fill(reflect.ValueOf(&want).Elem())
	var stream bytes.Buffer
	for range 3 {
		if err := wire.WriteFrame(&stream, want); err != nil {
			t.Fatal(err)
		}
	}
	r := iotest.OneByteReader(&stream)
	for range 3 {
		var got fleet.Wanted
		if err := wire.ReadFrame(r, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, addrs); diff != "" {
			t.Error(diff)
		}
	}
	if err := wire.ReadFrame(r, &want); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestReadFrameRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		b   string
		err error
	}{
		"half a length":                  {"\x00\x00", io.ErrUnexpectedEOF},
		"half a frame":                   {"\x00\x00\x00\x09\xa0", io.ErrUnexpectedEOF},
		"a length without end":           {"\xff\xff\xff\xff", wire.ErrTooLarge},
		"an empty frame":                 {"\x00\x00\x00\x00", wire.ErrCorrupt},
		"half an unknown field":          {"\x00\x00\x00\x03\xa1\x18\x63\x01", wire.ErrCorrupt},
		"a line of another protocol":     {"GET / HTTP/1.1\r\n", wire.ErrTooLarge},
		"more than one value in a frame": {"\x00\x00\x00\x02\xa0\xa0", wire.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			var v fleet.Wanted
			if err := wire.ReadFrame(strings.NewReader(tt.b), &v); !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
		})
	}
}

// A frame that claims 4 MiB and sends a little may not cost 4 MiB.
func TestReadFrameKeepsOnlyWhatArrived(t *testing.T) {
	claim := []byte("\x00\x40\x00\x00\xa0")
	n := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var v fleet.Wanted
			_ = wire.ReadFrame(bytes.NewReader(claim), &v)
		}
	}).AllocedBytesPerOp()
	if n > 64<<10 {
		t.Errorf("%d bytes were allocated", n)
	}
}

func TestWriteFrameRefusesWhatIsTooLarge(t *testing.T) {
	err := wire.WriteFrame(io.Discard, strings.Repeat("x", wire.MaxFrame))
	if !errors.Is(err, wire.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}
