package entry

import (
	"net/netip"
	"testing"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

func TestAHostThatIsToBeEmptiedHandsOver(t *testing.T) {
	host := &fleet.Host{ID: "h1", Name: "h1", State: fleet.HostReady, Format: 2, Drain: &fleet.Drain{},
		Addr: netip.MustParseAddrPort("10.0.0.1:7000")}
	e := &fleet.EntryAddress{Prefix: netip.MustParsePrefix("10.0.0.200/24"), Holder: "h1"}
	p := planner{in: plan.Input{State: fleet.New()}}
	if how, why := p.stand(e, host); how != leaves || why != "h1 is to be emptied" {
		t.Errorf("%v, %q", how, why)
	}
	host.Drain = nil
	if how, why := p.stand(e, host); how != fits {
		t.Errorf("without a drain: %v, %q", how, why)
	}
	host.Addr = netip.MustParseAddrPort("10.1.0.1:7000")
	if how, _ := p.stand(e, host); how != gone {
		t.Errorf("in another subnet: %v", how)
	}
}
