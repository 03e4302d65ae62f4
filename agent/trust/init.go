package trust

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"time"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
	"skein/runtime/seam/vfs"
)

// InitOptions say which fleet to make and what its first host is.
type InitOptions struct {
	FS         vfs.FS
	DataDir    string
	FleetName  string
	Name, Zone string         // of the first host
	Addr       netip.AddrPort // its peer port, as others dial it
	Attributes map[string]string
	Now        time.Time
	Chance     io.Reader // for ids and secrets; nil: the system's
}

// Bootstrap is what the first voter must commit: Init alone in the first entry,
// then OperatorToken. It holds no secret but OperatorText.
type Bootstrap struct {
	RaftID        fleet.RaftID
	Init          fleet.Item // InitFleet
	OperatorToken fleet.Item // PutToken
	OperatorText  string     // the token in clear; only from Init, never after a restart
}

// firstLog numbers the first voter's first log.
const firstLog = 1

// sealedVersion is the version of a new fleet's sealed keys.
const sealedVersion = 1

// Init makes a fleet: its authority and keys, the identity of its first host,
// and the entry that will be the first of its log, which is kept in the folder
// until [IdentityStore.Bootstrapped]. ErrIdentityExists where the data folder has one.
func Init(o InitOptions) (*IdentityStore, *Bootstrap, error) {
	if err := refuseExisting(o.FS, o.DataDir); err != nil {
		return nil, nil, fmt.Errorf("init: %w", err)
	}
	b, err := newGenesis(o)
	if err != nil {
		return nil, nil, fmt.Errorf("init: %w", err)
	}
	f := &IdentityStore{fs: o.FS, dir: o.DataDir}
	if err = errors.Join(f.makeDir(identityDir), f.putFleetKey(b.fleetKey)); err != nil {
		return nil, nil, fmt.Errorf("init: %w", err)
	}
	text, err := wire.EncodeEntry(fleet.Entry{At: fleet.TimeOf(o.Now), Items: []fleet.Item{b.Init, b.OperatorToken}})
	if err != nil {
		return nil, nil, fmt.Errorf("init: %w", err)
	}
	if err = f.write(bootstrapFile, text, secretPerm); err != nil {
		return nil, nil, fmt.Errorf("init: %w", err)
	}
	f, err = create(o.FS, o.DataDir, b.key, b.grant)
	if err != nil {
		return nil, nil, fmt.Errorf("init: %w", err)
	}
	return f, &b.Bootstrap, nil
}

func refuseExisting(fsys vfs.FS, dataDir string) error {
	exists, err := HasIdentity(fsys, dataDir)
	if err != nil {
		return err
	}
	if exists {
		return fmt.Errorf("%s: %w: remove the folder only if this host was forgotten there", dataDir, ErrIdentityExists)
	}
	return nil
}

// PendingBootstrap returns what a fleet made here has not committed yet, or nil
// when there is nothing left to do.
func (f *IdentityStore) PendingBootstrap() (*Bootstrap, error) {
	text, err := f.readFile(bootstrapFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entry, err := wire.DecodeEntry(text)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w: %w", f.path(bootstrapFile), ErrIdentityStore, err)
	}
	if len(entry.Items) != 2 {
		return nil, fmt.Errorf("read %s: %d commands: %w", f.path(bootstrapFile), len(entry.Items), ErrIdentityStore)
	}
	first, ok := entry.Items[0].Command.(fleet.InitFleet)
	if !ok {
		return nil, fmt.Errorf("read %s: no fleet in it: %w", f.path(bootstrapFile), ErrIdentityStore)
	}
	return &Bootstrap{RaftID: first.RaftID, Init: entry.Items[0], OperatorToken: entry.Items[1]}, nil
}

// Bootstrapped forgets the pending entry; call it once both commands are
// committed.
func (f *IdentityStore) Bootstrapped() error { return f.remove(bootstrapFile) }
