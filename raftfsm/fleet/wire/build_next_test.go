//go:build nextformat

package wire

import (
	"bytes"
	"testing"

	"skein/raftfsm/fleet"
)

// The build that stands for the agent to come writes more than this one knows, and
// reads what either of them writes; this one skips it.
func TestNextFormatWritesAFieldMore(t *testing.T) {
	type small struct {
		Name string `cbor:"1,keyasint"`
	}
	for _, v := range []small{{"h1"}, {""}} {
		b, err := Marshal(v)
		if err != nil || !bytes.HasSuffix(b, nextField) {
			t.Fatalf("%x, %v", b, err)
		}
		var next, older small
		if err := Unmarshal(b, &next); err != nil || next != v {
			t.Errorf("the next build reads %+v, %v", next, err)
		}
		if err := checkSkipped(b); err != nil {
			t.Error(err)
		}
		if err := decode(strict, b, &older); err == nil {
			t.Error("the field is known to this build")
		}
		if err := decode(lenient, b, &older); err != nil || older != v {
			t.Errorf("this build reads %+v, %v", older, err)
		}
	}
	entry, err := EncodeEntry(fleet.Entry{Items: []fleet.Item{{Command: fleet.CordonHost{Host: "h-1", Why: "x"}}}})
	if err != nil || bytes.Contains(entry, nextField) {
		t.Errorf("an entry of the log has it: %x, %v", entry, err)
	}
	wide := map[int]int{}
	for i := range 30 {
		wide[i] = i
	}
	if b, err := Marshal(wide); err != nil || bytes.HasSuffix(b, nextField) {
		t.Errorf("a map is no message: %v", err)
	}
}
