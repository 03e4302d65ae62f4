package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"

	"skein/runtime/seam/vfs"
)

const (
	// incarnationBlock is how many incarnations one life may use (a role change or
	// a refuted suspicion takes one) before the next life could start below it.
	incarnationBlock = 64
	// maxRaised bounds the time Open spends raising: 0.9 s on a busy two-core
	// machine. From the 1,024th start on a life begins no higher, and the rejoin heals.
	maxRaised = 1 << 16
)

// nextFloor counts one more life in the file and returns the incarnation this
// life starts above. An unreadable file gives the highest floor: too high is
// harmless, too low is not.
func nextFloor(fsys vfs.FS, name string) (int, error) {
	lives := 0
	b, err := fsys.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return 0, fmt.Errorf("read incarnation floor: %w", err)
	default:
		lives, err = strconv.Atoi(string(bytes.TrimSpace(b)))
		if err != nil || lives < 0 || lives > maxRaised/incarnationBlock {
			lives = maxRaised / incarnationBlock
		}
	}
	if err := fsys.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return 0, fmt.Errorf("make folder of incarnation floor: %w", err)
	}
	next := min(lives+1, maxRaised/incarnationBlock)
	if err := vfs.WriteFileAtomic(fsys, name, []byte(strconv.Itoa(next)+"\n"), 0o600); err != nil {
		return 0, fmt.Errorf("write incarnation floor: %w", err)
	}
	return lives * incarnationBlock, nil
}

// raise lifts the incarnation to above floor. memberlist offers no other way
// than announcing oneself again; nobody listens yet, so nothing is sent.
func (r *Ring) raise(floor int) {
	for range floor {
		// The error says that the announcement was not sent within the timeout,
		// which is what is wanted here.
		_ = r.list.UpdateNode(1)
	}
}
