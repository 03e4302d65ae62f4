package fleet

// InitFleet makes the fleet and its first voter. Refused when a fleet exists.
type InitFleet struct {
	ID         FleetID    `cbor:"1,keyasint"`
	Name       string     `cbor:"2,keyasint,omitempty"`
	CABundle   []byte     `cbor:"3,keyasint"`
	SealedKeys SealedKeys `cbor:"4,keyasint"`
	Host       Admission  `cbor:"5,keyasint"` // the first host, admitted and voting at once
	RaftID     RaftID     `cbor:"6,keyasint"`
	// the fleet's from the start: that of the agent which makes it; 0 means 1
	Format int `cbor:"7,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (InitFleet) Kind() Kind { return KindInitFleet }

func (c InitFleet) apply(s *State, x *applyContext) ([]string, error) {
	if s.fleet != nil {
		return nil, refuse(ErrFleetExists, "init fleet %s", c.ID)
	}
	if err := first(
		checkID("id", string(c.ID)),
		checkText("name", c.Name, MaxName),
		checkBlob("caBundle", c.CABundle),
		checkSealedKeys(c.SealedKeys),
		c.Host.check(),
		checkRaftID("raftId", c.RaftID, c.Host.ID),
		checkRange("format", c.Format, 0, maxFormat),
	); err != nil {
		return nil, err
	}
	s.putFleet(x, Fleet{
		ID: c.ID, Name: c.Name, Epoch: 1, Now: x.now, Format: max(c.Format, 1), Settings: DefaultSettings(),
		SealedKeys: c.SealedKeys, CABundle: c.CABundle, CreatedAt: x.now,
	})
	host := c.Host.host(x)
	host.LastRaft = c.RaftID.Number()
	s.putHost(x, host)
	s.putVoter(x, Voter{ID: c.RaftID, Host: c.Host.ID, Phase: VoterVoting, Since: x.now})
	s.recordEvent(x, Event{Code: "fleet-made", Subject: subjectOf(&host), Message: "fleet made, " + host.Name +
		" is its first voter"})
	return []string{string(c.ID)}, nil
}
