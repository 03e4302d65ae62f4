package converge

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/vfs"
)

// The routes file is a header line and then records, framed as those of the journal: a
// head, which counts them, and pieces of one [fleet.WantedRoutes] that is whole. It is
// apart from the wanted files, whose size and pace are those of one host's tasks, while
// targets are the whole fleet's.
const (
	routesHeader = "skein-routes/1\n"
	routesName   = "routes"
	maxRoutes    = 1 << 30
)

// routesHead is the first record of a routes file.
type routesHead struct {
	Host   fleet.HostID  `cbor:"1,keyasint"`
	Fleet  fleet.FleetID `cbor:"2,keyasint"`
	Epoch  uint64        `cbor:"3,keyasint"`
	Index  uint64        `cbor:"4,keyasint"`
	Pieces int           `cbor:"5,keyasint"` // records that follow
}

func encodeRoutes(s SavedRoutes) ([]byte, error) {
	whole := fleet.WantedRoutes{Whole: true, Groups: s.Routes.Groups, Rules: s.Routes.RuleTable()}
	pieces := whole.Split()
	b, err := appendFrame([]byte(routesHeader), routesHead{
		Host: s.Host, Fleet: s.Fleet, Epoch: s.Epoch, Index: s.Index, Pieces: len(pieces),
	})
	for i := 0; err == nil && i < len(pieces); i++ {
		b, err = appendFrame(b, pieces[i])
	}
	return b, err
}

func decodeRoutes(b []byte) (SavedRoutes, error) {
	s, err := decodeRoutesRecords(b)
	if err != nil {
		return SavedRoutes{}, fmt.Errorf("routes file: %w: %w", err, errDamaged)
	}
	return s, nil
}

func decodeRoutesRecords(b []byte) (SavedRoutes, error) {
	b, ok := bytes.CutPrefix(b, []byte(routesHeader))
	if !ok {
		return SavedRoutes{}, errors.New("no header")
	}
	var h routesHead
	b, err := cutFrame(b, &h)
	if err != nil {
		return SavedRoutes{}, fmt.Errorf("head: %w", err)
	}
	pieces, b, err := cutFrames[fleet.WantedRoutes](b, h.Pieces)
	if err != nil {
		return SavedRoutes{}, err
	}
	if len(b) > 0 {
		return SavedRoutes{}, fmt.Errorf("%d bytes follow the last record", len(b))
	}
	var whole *fleet.WantedRoutes
	for i := range pieces {
		if whole, err = whole.Join(&pieces[i]); err != nil {
			return SavedRoutes{}, err
		}
	}
	return SavedRoutes{Host: h.Host, Fleet: h.Fleet, Epoch: h.Epoch, Index: h.Index,
		Routes: fleet.Routes{}.With(whole)}, nil
}

// openRoutes reads the routes file; nil when there is none. It does not fail: one that
// cannot be read is set aside, and the error says so.
func openRoutes(fsys vfs.FS, dir string) (*SavedRoutes, error) {
	name := dir + "/" + routesName
	b, err := readBounded(fsys, name, maxRoutes)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var s SavedRoutes
	if err == nil {
		s, err = decodeRoutes(b)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", name, err), setAside(fsys, name))
	}
	return &s, nil
}

func saveRoutes(fsys vfs.FS, dir string, s SavedRoutes) error {
	b, err := encodeRoutes(s)
	if err != nil {
		return err
	}
	return vfs.WriteFileAtomic(fsys, dir+"/"+routesName, b, filePerm)
}
