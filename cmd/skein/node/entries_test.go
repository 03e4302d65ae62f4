package node

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/runtime/entry"
)

func TestTroublesWithEntryAddresses(t *testing.T) {
	addr := netip.MustParseAddr("10.0.0.200")
	holding := []entry.Address{{Addr: addr, Role: entry.Holding}}
	const other = "02:00:00:00:00:09"
	const now, lately = 10 * time.Second, 9 * time.Second
	failed := errors.New("no interface")
	gateway := errors.Join(errors.Join(&entry.RefusedError{Addr: addr, Err: errors.New("it is the gateway")},
		&entry.RefusedError{Addr: addr.Next(), Err: errors.New("another subnet")}), failed)
	refused := plan.EntryTrouble{Addr: addr, Why: "it is the gateway"}
	fails, taken := plan.EntryTrouble{Addr: addr, Why: "no interface"}, plan.EntryTrouble{Addr: addr, Other: other}
	for name, tt := range map[string]struct {
		want   []entry.Address
		held   []entry.Status
		failed error
		says   []plan.EntryTrouble
	}{
		"all is well":              {holding, []entry.Status{{Addr: addr, Answering: true}}, nil, nil},
		"it cannot be held":        {holding, nil, failed, []plan.EntryTrouble{fails}},
		"it alone is refused":      {holding, nil, gateway, []plan.EntryTrouble{refused}},
		"a former holder cannot":   {[]entry.Address{{Addr: addr, Role: entry.Former}}, nil, failed, nil},
		"another address cannot":   {holding, []entry.Status{{Addr: addr, Answering: true}}, failed, nil},
		"a neighbour has it":       {holding, []entry.Status{{Addr: addr, Other: other}}, nil, []plan.EntryTrouble{taken}},
		"a neighbour has it still": {holding, []entry.Status{{Addr: addr, Other: other, Since: lately}}, nil, nil},
		"a neighbour had it":       {holding, []entry.Status{{Addr: addr, Other: other, Answering: true}}, nil, nil},
		"it was told just now":     {holding, nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := entryTroubles(tt.want, tt.held, tt.failed, now); !slices.Equal(got, tt.says) {
				t.Errorf("it says %+v, want %+v", got, tt.says)
			}
		})
	}
}
