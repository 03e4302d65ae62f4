package raftfsm

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/vfs"
)

// The folder of a node:
//
//	raft-id        whose folder this is, one line
//	log/           the store
//	snapshots/
//	ballast
//
// A folder of another RaftID is renamed to "<folder>.aside-<its raft id>".
const (
	markerName    = "raft-id"
	logFolder     = "log"
	snapFolder    = "snapshots"
	ballastName   = "ballast"
	asideInfix    = ".aside-"
	damagedSuffix = ".damaged"

	// keptAside is how many former logs stay for `recover` and for people; each
	// is one replacement of this host as a voter.
	keptAside = 3
	// maxMarker bounds the marker file: a RaftID is some 30 bytes.
	maxMarker = 256
)

// Identity returns the RaftID whose log a folder holds or held; empty for a
// folder without one. An agent reports it when it opens its session, and opens
// its node with it after a restart.
func Identity(fsys vfs.FS, dir string) (fleet.RaftID, error) {
	b, err := fsys.ReadFile(path.Join(dir, markerName))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read raft id: %w", err)
	}
	id := fleet.RaftID(strings.TrimSpace(string(b)))
	if len(b) > maxMarker || id.Number() < 1 {
		return "", fmt.Errorf("read raft id: %w: %s holds no raft id", ErrLogDamaged, path.Join(dir, markerName))
	}
	return id, nil
}

// Discard removes a node's folder for good. Call it only on the leader's
// committed word that its RaftID is out of the configuration.
func Discard(fsys vfs.FS, dir string) error {
	// The marker goes last: while it is there, an empty log counts as wiped.
	for _, name := range []string{logFolder, snapFolder, ballastName, markerName} {
		if err := fsys.RemoveAll(path.Join(dir, name)); err != nil {
			return fmt.Errorf("discard raft log: %w", err)
		}
	}
	return errors.Join(fsys.RemoveAll(dir), fsys.SyncDir(path.Dir(dir)))
}

// claim makes the folder that of id, so that a log can be opened in it. It
// returns the name of the folder set aside, if any. Errors: ErrWiped.
func claim(fsys vfs.FS, dir string, id fleet.RaftID) (aside string, err error) {
	if err = fsys.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	owner, err := Identity(fsys, dir)
	if errors.Is(err, ErrLogDamaged) {
		owner, err = "unknown", nil
	}
	if err != nil {
		return "", err
	}
	there, err := hasStore(fsys, path.Join(dir, logFolder))
	if err != nil {
		return "", err
	}
	switch {
	case owner == id && there:
		return "", nil
	case owner == id:
		return "", fmt.Errorf("%s is the folder of %s: %w", dir, id, ErrWiped)
	case owner == "" && there:
		// Made by a start that crashed before it wrote the marker, or the marker was
		// removed: the log itself says whose it is.
		return "", nil
	case owner == "":
		// Snapshots without marker and log are not those of an empty log.
		_, err := fsys.Stat(path.Join(dir, snapFolder))
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
		owner = "unknown"
	}
	return setAside(fsys, dir, owner)
}

// mark makes the marker durable; the log must be there already, so that a
// marker without a log always means that the log is gone.
func mark(fsys vfs.FS, dir string, id fleet.RaftID) error {
	if err := vfs.WriteFileAtomic(fsys, path.Join(dir, markerName), []byte(id+"\n"), 0o600); err != nil {
		return err
	}
	return fsys.SyncDir(path.Dir(dir))
}

// setAside renames a folder out of the way, makes it anew, and removes the
// oldest ones set aside.
func setAside(fsys vfs.FS, dir string, owner fleet.RaftID) (aside string, err error) {
	aside = dir + asideInfix + string(owner)
	if err := fsys.RemoveAll(aside); err != nil {
		return "", err
	}
	if err := fsys.Rename(dir, aside); err != nil {
		return "", err
	}
	if err := errors.Join(fsys.MkdirAll(dir, 0o700), fsys.SyncDir(path.Dir(dir))); err != nil {
		return "", err
	}
	return aside, pruneAside(fsys, dir)
}

func pruneAside(fsys vfs.FS, dir string) error {
	files, err := fsys.ReadDir(path.Dir(dir))
	if err != nil {
		return err
	}
	var former []fleet.RaftID
	for _, file := range files {
		if owner, ok := strings.CutPrefix(file.Name(), path.Base(dir)+asideInfix); ok {
			former = append(former, fleet.RaftID(owner))
		}
	}
	slices.SortFunc(former, func(a, b fleet.RaftID) int { return b.Number() - a.Number() })
	for _, owner := range former[min(keptAside, len(former)):] {
		err = errors.Join(err, fsys.RemoveAll(dir+asideInfix+string(owner)))
	}
	return err
}

// quarantine renames a damaged log, so that opening the same RaftID again gives
// ErrWiped and never a vote.
func quarantine(fsys vfs.FS, dir string) (string, error) {
	log := path.Join(dir, logFolder)
	for n := 1; ; n++ {
		aside := fmt.Sprintf("%s%s-%d", log, damagedSuffix, n)
		_, err := fsys.Stat(aside)
		if err == nil && n < maxDamaged {
			continue
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		return aside, errors.Join(fsys.RemoveAll(aside), fsys.Rename(log, aside), fsys.SyncDir(dir))
	}
}

// maxDamaged bounds the damaged logs of one folder. There is at most one a
// RaftID, and a folder is set aside when the RaftID changes.
const maxDamaged = 9
