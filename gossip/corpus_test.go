package gossip

import (
	"net/netip"
	"testing"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
	"skein/raftfsm/fleet/wire/corpustest"
)

func TestTheCorpusIsReadAsEver(t *testing.T) {
	member, err := encodeMeta(meta{
		Host: "h-1", Name: "h1", Zone: "a", Role: "voter", Version: "1.0", Peer: netip.MustParseAddrPort("10.0.0.1:7700"),
		Status: "http://10.0.0.1:7780/",
	})
	if err != nil {
		t.Fatal(err)
	}
	report, err := encodeReport(fleet.CapacityReport{Host: "h-1", Nonce: 7, At: 1_700_000_000_000, Starved: true,
		DiskFreeMiB: 1024})
	if err != nil {
		t.Fatal(err)
	}
	corpustest.Check(t, corpustest.Kind{Name: "meta", Now: member, Read: func(b []byte) ([]byte, error) {
		m, err := decodeMeta(b)
		if err != nil {
			return nil, err
		}
		return wire.Marshal(m)
	}})
	corpustest.Check(t, corpustest.Kind{Name: "report", Now: report, Read: func(b []byte) ([]byte, error) {
		r, err := decodeReport(b)
		if err != nil {
			return nil, err
		}
		return wire.Marshal(r)
	}})
}

func TestTheCorpusKnowsEveryField(t *testing.T) {
	corpustest.CheckFields(t, map[string]any{"meta": meta{}, "report": fleet.CapacityReport{}})
}
