package wire_test

import (
	"bytes"
	"testing"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// What decodes must be a sound thing: it encodes to something that decodes to
// the same, and applying it does not panic.
func FuzzDecodeEntry(f *testing.F) {
	for _, k := range fleet.Kinds() {
		b, err := wire.EncodeEntry(
			fleet.Entry{At: 7, Items: []fleet.Item{{Command: filled(f, k), Receipt: receipt(), By: "me"}}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	base := sample(f, 3)
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := wire.DecodeEntry(b)
		if err != nil {
			return
		}
		first, err := wire.EncodeEntry(e)
		if err != nil {
			t.Fatalf("%+v does not encode: %v", e, err)
		}
		again, err := wire.DecodeEntry(first)
		if err != nil {
			t.Fatal(err)
		}
		if second, _ := wire.EncodeEntry(again); !bytes.Equal(first, second) {
			t.Fatalf("%x became %x", first, second)
		}
		s := base.Clone()
		out := s.Apply(s.Index()+1, e)
		if err := s.CheckChangeSet(out.ChangeSet); err != nil {
			t.Fatal(err)
		}
		if s.Fleet().Format > fleet.FormatVersion {
			return // its snapshots are for later builds
		}
		if _, err := wire.ReadState(bytes.NewReader(written(t, s))); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzReadState(f *testing.F) {
	f.Add(written(f, fleet.New()))
	f.Add(written(f, sample(f, 2)))
	f.Fuzz(func(t *testing.T, b []byte) {
		// A fuzzer does not find checksums: make them right.
		if n := len(b) - 32 - 8 - 4; n > 13 {
			b = seal(bytes.Clone(b[:n]), uint64(b[n+11]))
		}
		s, err := wire.ReadState(bytes.NewReader(b))
		if err != nil {
			return
		}
		if err := s.Check(); err != nil {
			t.Fatalf("read a State that is not sound: %v", err)
		}
		if _, err := wire.ReadState(bytes.NewReader(written(t, s))); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzReadFrame(f *testing.F) {
	var b bytes.Buffer
	s := sample(f, 3)
	if err := wire.WriteFrame(&b, s.Wanted("h-1")); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var w fleet.Wanted
		if err := wire.ReadFrame(bytes.NewReader(b), &w); err != nil {
			return
		}
		var out bytes.Buffer
		if err := wire.WriteFrame(&out, w); err != nil {
			t.Fatal(err)
		}
		var again fleet.Wanted
		if err := wire.ReadFrame(&out, &again); err != nil {
			t.Fatal(err)
		}
	})
}
