package fleet

import (
	"fmt"
)

// PutSealedKeys replaces the sealed keys; Version must be one more.
type PutSealedKeys struct {
	Keys SealedKeys `cbor:"1,keyasint"`
}

// Kind is the command's number in the log.
func (PutSealedKeys) Kind() Kind { return KindPutSealedKeys }

func (c PutSealedKeys) apply(s *State, x *applyContext) ([]string, error) {
	if err := checkSealedKeys(c.Keys); err != nil {
		return nil, err
	}
	if was := s.fleet.SealedKeys.Version; c.Keys.Version != was+1 {
		return nil, refuse(ErrMoved, "put sealed keys: version %d does not follow %d", c.Keys.Version, was)
	}
	f := *s.fleet
	f.SealedKeys = c.Keys
	s.putFleet(x, f)
	s.recordEvent(x,
		Event{Code: "keys-replaced", Subject: FleetSubject(),
			Message: fmt.Sprintf("sealed keys replaced, version %d", c.Keys.Version)})
	return nil, nil
}

func checkSealedKeys(k SealedKeys) error {
	return first(
		checkRange("sealedKeys.version", k.Version, 1, 1<<31-1),
		checkBlob("sealedKeys.ca", k.CA),
		checkBlob("sealedKeys.gossip", k.Gossip),
	)
}
