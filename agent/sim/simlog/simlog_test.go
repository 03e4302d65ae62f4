package simlog_test

import (
	"testing"
	"time"

	"skein/agent/sim/simlog"
	"skein/agent/sim/virtual"
)

func TestThreeVotersElectALeaderAndFailOver(t *testing.T) {
	r := newRig(t, 1, 3, 3, virtual.Weather{Delay: time.Millisecond}, simlog.Config{Shared: true})
	r.put("before")
	old := r.leader()
	old.kill()
	at := r.time.Now()
	r.put("after")
	if took := r.time.Now() - at; took > 3*time.Second {
		t.Errorf("a new leader accepted a write after %s", took)
	}
	old.start()
	r.equal()
	if !old.has("before") || !old.has("after") {
		t.Error("the old leader lacks a write")
	}
	r.well()
}

func TestAQuietLogHasNoEvents(t *testing.T) {
	r := newRig(t, 1, 3, 3, virtual.Weather{Delay: time.Millisecond}, simlog.Config{})
	r.put("a")
	r.equal()
	r.pass(time.Minute)
	ran := r.time.Ran()
	r.pass(30 * 24 * time.Hour)
	if n := r.time.Ran() - ran; n > 0 {
		t.Errorf("%d events in a quiet month", n)
	}
	r.well()
}
