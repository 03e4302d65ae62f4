package converge

import (
	"testing"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
	"skein/raftfsm/fleet/wire/corpustest"
)

func TestTheCorpusIsReadAsEver(t *testing.T) {
	draining := Record{Kind: RecordStop, Task: "c", Attempt: 1, At: 10, DrainS: 300}
	journal, err := encodeJournal(append(sampleRecords(), draining))
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := encodeWanted(sampleWanted(5))
	if err != nil {
		t.Fatal(err)
	}
	routes, err := encodeRoutes(sampleRoutes(1, 2, 2))
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
		return wire.Marshal(firstFormatOf(saved))
	}})
	corpustest.Check(t, corpustest.Kind{Name: "routes", Now: routes, Read: func(b []byte) ([]byte, error) {
		saved, err := decodeRoutes(b)
		if err != nil {
			return nil, err
		}
		return wire.Marshal(saved.Routes)
	}})
}

// firstFormatOf is what was saved as files of the first format had it.
func firstFormatOf(s SavedWanted) (first savedWanted1) {
	first.Boot, first.Host = s.Boot, s.Host
	w := &first.Wanted
	w.Fleet, w.Epoch, w.Index, w.Session = s.Wanted.Fleet, s.Wanted.Epoch, s.Wanted.Index, s.Wanted.Session
	w.Tasks, w.TaskDefs = s.Wanted.Tasks, s.Wanted.TaskDefs
	return first
}

func TestTheCorpusKnowsEveryField(t *testing.T) {
	corpustest.CheckFields(t, map[string]any{"journal": Record{}, "wanted-head": wantedHead{}, "wanted": savedWanted1{},
		"routes-head": corpustest.Later{Since: 2, Of: routesHead{}},
		"routes":      corpustest.Later{Since: 2, Of: fleet.WantedRoutes{}}})
}
