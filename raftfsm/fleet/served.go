package fleet

// Served is up to which index of the log a host carries out each part of what it is
// sent: all that was committed up to there about that part is what the host does. The
// parts have an index each, since one may be accepted while another is not. Hosts tell
// it with their beats; it is an observation, and never stands in the log.
type Served struct {
	Epoch  uint64 `cbor:"1,keyasint,omitempty"` // of the indices; see Fleet.Epoch
	Tasks  uint64 `cbor:"2,keyasint,omitempty"`
	Orders uint64 `cbor:"3,keyasint,omitempty"` // what the host itself is to do
	Routes uint64 `cbor:"4,keyasint,omitempty" since:"2,skip"`
	// Entries is of the entry addresses that it answers for.
	Entries uint64 `cbor:"5,keyasint,omitempty" since:"2,skip"`
}

// ServedAt is what a host serves that has come to an index with all parts.
func ServedAt(epoch, index uint64) Served {
	s := Served{Epoch: epoch}
	for i := range wantedParts {
		*wantedParts[i].served(&s) = index
	}
	return s
}

// ServedRoutes is what a host serves that has come to the newest routes of State, and of
// which nothing else is known; zero where there is no State or no fleet.
func (s *State) ServedRoutes() Served {
	if s == nil || s.fleet == nil {
		return Served{}
	}
	return Served{Epoch: s.fleet.Epoch, Routes: s.fleet.Routes.Any}
}

// Reached reports whether a host that serves s has come to all of what is asked for; a
// part that is asked for with index 0 is not.
func (s Served) Reached(asked Served) bool {
	if s.Epoch != asked.Epoch {
		return s.Epoch > asked.Epoch
	}
	for i := range wantedParts {
		if *wantedParts[i].served(&s) < *wantedParts[i].served(&asked) {
			return false
		}
	}
	return true
}
