package peer

import "testing"

// Whatever happens while a host has no stream reaches it in the same session.
func TestAHostGetsWhatChangedWhileItWasCutOff(t *testing.T) {
	t.Parallel()
	r, network := threeInMemory(t)
	h := r.join("h4", r.agents[0]).host().up()
	r.ready(h)
	r.run(h, 2)
	h.up()
	session := h.session()
	for _, voter := range r.agents[:3] {
		network.cut(h.a.addr().Addr(), voter.addr().Addr(), true)
	}
	h.is("without a stream", func() bool { return !h.link.Status().Up })
	kept := r.run(h, 1)[0]
	network.heal()
	h.up()
	if got := h.session(); got != session {
		t.Errorf("session %d became %d: that is not what is tested here", session, got)
	}
	found := false
	for _, task := range h.wanted().Tasks {
		found = found || task.ID == kept
	}
	if !found {
		t.Errorf("the task that came meanwhile is missing from %d", len(h.wanted().Tasks))
	}
}
