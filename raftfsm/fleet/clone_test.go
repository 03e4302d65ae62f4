package fleet_test

import (
	"fmt"
	"sync"
	"testing"

	"skein/raftfsm/fleet"
)

// Cloning and reading a published State from many goroutines
// while its source goes on: run with -race.
func TestPublishedStateIsClonedAndReadByMany(t *testing.T) {
	g := newScenario(t, 5)
	for range 500 {
		g.Apply(g.Index()+1, fleet.Entry{At: g.at, Items: g.items()})
	}
	published := g.Clone()
	index := published.Index()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 50 {
				mine := published.Clone()
				for task := range mine.Tasks() {
					mine.Counts(task.Service, task.Revision)
					mine.Reachable(task)
				}
				mine.Apply(index+1, fleet.Entry{Items: []fleet.Item{{Command: fleet.PutToken{
					ID: fleet.TokenID(fmt.Sprint("mine-", i)), TokenKind: fleet.TokenOperator, Hash: make([]byte, 32),
					NotAfter: mine.Now() + 1,
				}}}})
				for h := range published.Hosts() {
					published.Wanted(h.ID)
				}
			}
		})
	}
	for range 500 {
		g.Apply(g.Index()+1, fleet.Entry{At: g.at, Items: g.items()})
	}
	wg.Wait()
	if published.Index() != index {
		t.Errorf("the published State moved to %d", published.Index())
	}
	for name, s := range map[string]*fleet.State{"published": published, "source": g.State} {
		if err := s.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
