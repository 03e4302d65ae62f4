package fleet

import "testing"

func TestSetVoter(t *testing.T) {
	id := func(host, n int) RaftID { return MakeRaftID(hostID(host), n) }
	t.Run("walks from preparing to voting one step at a time", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.refused(SetVoter{ID: id(2, 1), Phase: VoterLearning}, ErrNotFound, "learning")
		w.must(SetVoter{ID: id(2, 1), Phase: VoterPreparing})
		w.refused(SetVoter{ID: id(2, 1), Phase: VoterVoting}, ErrConflict, "it is preparing")
		w.must(SetVoter{ID: id(2, 1), Phase: VoterLearning})
		w.must(SetVoter{ID: id(2, 1), Phase: VoterVoting})
		w.refused(SetVoter{ID: id(2, 1), Phase: VoterVoting}, ErrConflict, "it is voting")
		w.refused(SetVoter{ID: id(2, 1), Phase: 9}, ErrInvalid, "phase")
		w.checked()
	})
	t.Run("retires from any phase, twice is a no-op, and the row goes when retired", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.must(SetVoter{ID: id(2, 1), Phase: VoterPreparing})
		w.refused(RemoveVoter{ID: id(2, 1)}, ErrConflict, "preparing")
		w.must(SetVoter{ID: id(2, 1), Phase: VoterRetiring})
		w.noop(SetVoter{ID: id(2, 1), Phase: VoterRetiring})
		if w.VoterOf(hostID(2)) != nil {
			t.Error("a retiring voter is the voter of its host")
		}
		w.must(RemoveVoter{ID: id(2, 1)})
		w.refused(RemoveVoter{ID: id(2, 1)}, ErrNotFound, string(id(2, 1)))
	})
	t.Run("is an event at each step", func(t *testing.T) {
		w := fleetOf(t, 2)
		for _, step := range []struct {
			command Command
			want    string
		}{
			{SetVoter{ID: id(2, 1), Phase: VoterPreparing}, "voter-preparing: voter h2 is preparing"},
			{SetVoter{ID: id(2, 1), Phase: VoterLearning}, "voter-learning: voter h2 is learning"},
			{SetVoter{ID: id(2, 1), Phase: VoterVoting}, "voter-voting: voter h2 is voting"},
			{SetVoter{ID: id(2, 1), Phase: VoterRetiring}, "voter-retiring: voter h2 is retiring"},
			{RemoveVoter{ID: id(2, 1)}, "voter-removed: h2 is no voter any more"},
		} {
			last := w.lastEvent().Seq
			w.must(step.command)
			e := w.lastEvent()
			if got := e.Code + ": " + e.Message; got != step.want || e.Seq != last+1 || e.Subject.Kind != SubjectHost {
				t.Errorf("event %d after %d of %s is %q, want %q", e.Seq, last, e.Subject, got, step.want)
			}
		}
	})
	t.Run("never uses a raft id again", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.must(SetVoter{ID: id(2, 3), Phase: VoterPreparing})
		w.must(SetVoter{ID: id(2, 3), Phase: VoterRetiring})
		w.must(RemoveVoter{ID: id(2, 3)})
		w.refused(SetVoter{ID: id(2, 3), Phase: VoterPreparing}, ErrExists, "up to 3")
		w.refused(SetVoter{ID: id(2, 2), Phase: VoterPreparing}, ErrExists, "up to 3")
		w.must(SetVoter{ID: id(2, 4), Phase: VoterPreparing})
		w.refused(SetVoter{ID: id(2, 5), Phase: VoterPreparing}, ErrConflict, "is a voter already")
	})
	t.Run("a wiped disk may begin anew while its old log retires", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.must(SetVoter{ID: id(2, 1), Phase: VoterPreparing})
		w.must(SetVoter{ID: id(2, 1), Phase: VoterRetiring})
		w.must(SetVoter{ID: id(2, 2), Phase: VoterPreparing})
		w.checked()
	})
	t.Run("keeps the only voter that votes", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.refused(SetVoter{ID: id(1, 1), Phase: VoterRetiring}, ErrConflict, "only one")
	})
	t.Run("refuses ids that are not a host's", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.refused(SetVoter{ID: "h-x.1", Phase: VoterPreparing}, ErrNotFound, "h-x")
		w.refused(SetVoter{ID: RaftID(hostID(2)) + ".01", Phase: VoterPreparing}, ErrInvalid, "raft id")
		w.refused(SetVoter{ID: RaftID(hostID(2)), Phase: VoterPreparing}, ErrInvalid, "raft id")
	})
}

func TestPutSealedKeys(t *testing.T) {
	w := fleetOf(t, 1)
	keys := SealedKeys{Version: 2, CA: blob(3), Gossip: blob(3)}
	w.must(PutSealedKeys{Keys: keys})
	w.refused(PutSealedKeys{Keys: keys}, ErrMoved, "version 2 does not follow 2")
	w.refused(PutSealedKeys{Keys: SealedKeys{Version: 3, CA: blob(3)}}, ErrInvalid, "sealedKeys.gossip")
}

func TestPutSetting(t *testing.T) {
	tests := map[string]struct {
		name  string
		value int64
		want  string // of the refusal; empty: accepted
	}{
		"five voters":                         {SettingVoters, 5, ""},
		"an even number of voters":            {SettingVoters, 4, "3, 5 and 7"},
		"lost after a minute":                 {SettingLostAfter, 60_000, ""},
		"lost after a moment":                 {SettingLostAfter, 1, "5000 to"},
		"agents down for an hour":             {SettingAgentDownAfter, 3_600_000, ""},
		"agents down for a month":             {SettingAgentDownAfter, 30 * 86_400_000, "1000 to"},
		"a lower first dynamic port":          {SettingDynamicPortFirst, 32768, ""},
		"a privileged first dynamic port":     {SettingDynamicPortFirst, 80, "1024 to"},
		"a last dynamic port below the first": {SettingDynamicPortLast, 49152, "49153 to"},
		"a setting that is not there":         {"speed", 1, "speed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := fleetOf(t, 1)
			c := PutSetting{Name: tt.name, Value: tt.value}
			if tt.want != "" {
				w.refused(c, ErrInvalid, tt.want)
				return
			}
			w.must(c)
			w.noop(c)
			if got, ok := w.Fleet().Settings.Get(tt.name); got != tt.value || !ok {
				t.Errorf("%s is %d", tt.name, got)
			}
		})
	}
	t.Run("dynamic ports stay off the ports of listeners", func(t *testing.T) {
		w := trafficOf(t, 1)
		w.must(PutListener{Name: "high", Port: 40_000, Protocol: ListenHTTP,
			Default: &Action{Fixed: &FixedResponse{Status: 200}}})
		w.refused(PutSetting{Name: SettingDynamicPortFirst, Value: 40_000}, ErrPortTaken,
			"dynamicPortFirst: port 40000 of listener high would be among the dynamic ports (40000 to")
		w.must(PutSetting{Name: SettingDynamicPortFirst, Value: 40_001})
		w.must(DeleteListener{Name: "high", ExpectedModifyIndex: w.Listener("high").ModifyIndex})
		w.must(PutSetting{Name: SettingDynamicPortFirst, Value: 40_000})
	})
	t.Run("every name has a value", func(t *testing.T) {
		for _, name := range SettingNames() {
			if v, ok := DefaultSettings().Get(name); v == 0 || !ok {
				t.Errorf("%s: %d", name, v)
			}
		}
	})
	t.Run("moves the deadlines of silent hosts", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.must(SilenceHost{Host: hostID(2), Session: 1})
		w.must(PutSetting{Name: SettingLostAfter, Value: 10_000})
		if due := w.NextDue(w.at); due != w.at+10_000 {
			t.Errorf("due %s", due)
		}
		w.checked()
	})
}

func TestLogsOutAreThoseWhoseRowIsGone(t *testing.T) {
	id := func(n int) RaftID { return MakeRaftID(hostID(2), n) }
	w := fleetOf(t, 2)
	out := func(when string, want int) {
		t.Helper()
		if got := w.LogsOut(hostID(2)); got != want {
			t.Errorf("%s: got %d, want %d", when, got, want)
		}
	}
	out("a host that never had one", 0)
	w.must(SetVoter{ID: id(1), Phase: VoterPreparing})
	out("one that is on its way in", 0)
	w.must(SetVoter{ID: id(1), Phase: VoterRetiring})
	out("one that retires", 0)
	w.must(SetVoter{ID: id(2), Phase: VoterPreparing})
	out("one that retires beside its successor", 0)
	w.must(RemoveVoter{ID: id(1)})
	out("one whose row is gone, beside its successor", 1)
	w.must(SetVoter{ID: id(2), Phase: VoterRetiring})
	w.must(RemoveVoter{ID: id(2)})
	out("when all are gone", 2)
	if got := w.LogsOut("h-none"); got != 0 {
		t.Errorf("a host nobody knows: got %d", got)
	}
}
