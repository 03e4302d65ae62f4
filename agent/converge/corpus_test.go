package converge

import (
	"testing"

	"skein/raftfsm/fleet/wire"
	"skein/raftfsm/fleet/wire/corpustest"
)

func TestTheCorpusIsReadAsEver(t *testing.T) {
	journal, err := encodeJournal(sampleRecords())
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := encodeWanted(sampleWanted(5))
	if err != nil {
		t.Fatal(err)
	}
	corpustest.Check(t, corpustest.Kind{Name: "journal", Now: journal, Read: func(b []byte) ([]byte, error) {
		records, err := decodeJournal(b)
		if err != nil {
			return nil, err
		}
		return wire.Marshal(records)
	}})
	corpustest.Check(t, corpustest.Kind{Name: "wanted", Now: wanted, Read: func(b []byte) ([]byte, error) {
		saved, err := decodeWanted(b)
		if err != nil {
			return nil, err
		}
		return wire.Marshal(saved)
	}})
}

func TestTheCorpusKnowsEveryField(t *testing.T) {
	corpustest.CheckFields(t, map[string]any{"journal": Record{}, "wanted-head": wantedHead{}, "wanted": SavedWanted{}})
}
