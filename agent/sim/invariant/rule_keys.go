package invariant

import (
	"fmt"

	"skein/raftfsm/fleet"
)

// putKeys says that of two who replace the sealed keys at one time one is refused: what
// it sealed does not know of the other's, which would be lost. Source: cmd/skein/DESIGN.md
// "Init and join".
func (c *Checker) putKeys(cmd fleet.PutSealedKeys) {
	was := c.model.keys
	c.hold(keysFollow, cmd.Keys.Version == was+1, func() string {
		return fmt.Sprintf("sealed keys of version %d replace those of version %d", cmd.Keys.Version, was)
	})
	c.model.keys = cmd.Keys.Version
}
