package invariant

import (
	"time"

	"skein/raftfsm/fleet"
)

// Broken is one rule broken once.
type Broken struct {
	Name   string // of the invariant: "I6"; those without a number have a word
	Rule   string // what should hold
	Detail string // what does not, for people
	At     time.Duration
}

func (b Broken) String() string {
	return b.At.String() + " " + b.Name + " (" + b.Rule + "): " + b.Detail
}

// Counter says how often a rule was evaluated. One that never was has proven
// nothing.
type Counter struct {
	Name      string
	Rule      string
	Evaluated uint64
	Broken    uint64
}

// Checker is the model and the rules. Facts are its methods.
type Checker struct {
	now      func() time.Duration
	tell     func(Broken)
	counters [rules]counter

	log       logbook
	model     model
	world     map[fleet.HostID]*surroundings
	cloned    map[fleet.HostID]bool // identities that two machines go by
	calmFrom  time.Duration         // a fault that touches all hosts lasts until then
	allFaulty bool
	unled     spell // the newest in which there may have been no leader
	machines  map[Machine]*machine
	byHost    map[fleet.HostID][]*machine
	late      []*container // made though their task had stopped, by deadline
	frames    map[session]order
	accepted  map[fleet.HostID]order   // the newest, of all sessions
	sent      map[fleet.HostID]sending // newest session and report that agents told us of
	acked     []Ack
	fences    map[session]fence  // newest leader that a host has taken a request of
	newKinds  map[fleet.Kind]int // since which format commands may be proposed; others: 1
	shares    map[fleet.RuleID][]shareAt
	routes    map[fleet.HostID]uint64 // index up to which a host has served routes, at any time
	effort    int                     // saved up for rules that look at many rows, see spread
}

type counter struct{ evaluated, broken uint64 }

// New makes a checker of a world without a fleet. Its clock is the world's;
// broken is called from within a fact.
func New(now func() time.Duration, broken func(Broken)) *Checker {
	return &Checker{
		now: now, tell: broken,
		log:      newLogbook(),
		model:    newModel(),
		world:    map[fleet.HostID]*surroundings{},
		cloned:   map[fleet.HostID]bool{},
		machines: map[Machine]*machine{},
		byHost:   map[fleet.HostID][]*machine{},
		frames:   map[session]order{},
		accepted: map[fleet.HostID]order{},
		sent:     map[fleet.HostID]sending{},
		fences:   map[session]fence{},
		shares:   map[fleet.RuleID][]shareAt{},
		routes:   map[fleet.HostID]uint64{},
	}
}

// hold evaluates a rule; why is asked only when it does not hold.
func (c *Checker) hold(r rule, ok bool, why func() string) bool {
	n := &c.counters[r]
	n.evaluated++
	if ok {
		return true
	}
	n.broken++
	c.tell(Broken{Name: book[r].name, Rule: book[r].words, Detail: why(), At: c.now()})
	return false
}

// Counters lists all rules in the order of the book, those that do not apply yet
// included.
func (c *Checker) Counters() []Counter {
	all := make([]Counter, 0, rules)
	for r := range rules {
		all = append(all, Counter{Name: book[r].name, Rule: book[r].words, Evaluated: c.counters[r].evaluated,
			Broken: c.counters[r].broken})
	}
	return all
}
