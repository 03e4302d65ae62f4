package fleet

import (
	"strings"
	"testing"
)

func TestACapacityReportOfTheSessionInStateReplacesAnyOther(t *testing.T) {
	for _, c := range []struct {
		what     string
		nonce    uint64
		seq      uint64
		heldOf   uint64
		heldSeq  uint64
		inState  uint64
		replaces bool
	}{
		{"a later one of the session", 3, 2, 3, 1, 3, true},
		{"an earlier one of the session", 3, 1, 3, 2, 3, false},
		{"the same", 3, 1, 3, 1, 3, false},
		{"one of the session, after a clone's of a higher nonce", 3, 1, 9, 50, 3, true},
		{"a clone's of a higher nonce", 9, 50, 3, 1, 3, false},
		{"one of the former session", 2, 50, 3, 1, 3, false},
		{"a later session's, where State is behind both", 5, 1, 4, 1, 3, true},
		{"a later session's, without State", 5, 1, 4, 9, 0, true},
		{"an earlier session's, without State", 4, 9, 5, 1, 0, false},
		{"one made before any session, without State", 0, 9, 5, 1, 0, false},
	} {
		r, held := CapacityReport{Nonce: c.nonce, Seq: c.seq}, CapacityReport{Nonce: c.heldOf, Seq: c.heldSeq}
		if got := r.Replaces(&held, c.inState); got != c.replaces {
			t.Errorf("%s: got %t, want %t", c.what, got, c.replaces)
		}
	}
}

func TestACapacityReportIsClipped(t *testing.T) {
	long := strings.Repeat("é", 1000)
	r := CapacityReport{Boot: long, OSImage: long, Version: long, Protected: long, Runtime: long}
	r.Clip()
	for name, c := range map[string]struct {
		text string
		most int
	}{
		"boot": {r.Boot, MaxReportText}, "image": {r.OSImage, MaxReportText}, "version": {r.Version, MaxReportText},
		"protected": {r.Protected, MaxReportLongText}, "runtime": {r.Runtime, MaxReportLongText},
	} {
		if len(c.text) > c.most || len(c.text) < c.most-3 {
			t.Errorf("%s: %d bytes, at most %d", name, len(c.text), c.most)
		}
	}
}
