package raftfsm

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"

	"github.com/hashicorp/raft"

	"skein/runtime/seam/failpoint"
	"skein/runtime/seam/vfs"
)

// snapshotSink implements raft.SnapshotSink. Close after Close or Cancel does
// nothing, which the library asks for.
type snapshotSink struct {
	store *snapshots
	meta  raft.SnapshotMeta
	temp  string
	file  vfs.File
	out   *bufio.Writer
	sum   hash.Hash32
	done  bool
}

func (k *snapshotSink) ID() string { return k.meta.ID }

func (k *snapshotSink) Write(b []byte) (int, error) {
	n, err := k.out.Write(b)
	k.meta.Size += int64(n)
	return n, err
}

// Cancel throws the snapshot away.
func (k *snapshotSink) Cancel() error {
	if k.done {
		return nil
	}
	k.done = true
	return errors.Join(k.file.Close(), k.store.fs.Remove(k.temp))
}

// Close makes the snapshot durable, reads it back, and removes older ones.
func (k *snapshotSink) Close() error {
	if k.done {
		return nil
	}
	if err := k.finish(); err != nil {
		return errors.Join(fmt.Errorf("write snapshot %s: %w", k.meta.ID, nameDiskFull(err)), k.Cancel())
	}
	k.done = true
	if err := k.publish(); err != nil {
		return fmt.Errorf("write snapshot %s: %w", k.meta.ID, err)
	}
	k.store.saved(k.meta)
	return k.store.prune()
}

func (k *snapshotSink) finish() error {
	if err := k.out.Flush(); err != nil {
		return err
	}
	encoded, err := json.Marshal(k.meta)
	if err != nil {
		return err
	}
	tail := make([]byte, snapshotTail)
	binary.LittleEndian.PutUint32(tail, uint32(len(encoded)))
	binary.LittleEndian.PutUint32(tail[4:], k.sum.Sum32())
	binary.LittleEndian.PutUint32(tail[8:], tailSum(encoded, tail))
	copy(tail[12:], snapshotMagic)
	if _, err := k.file.Write(append(encoded, tail...)); err != nil {
		return err
	}
	if err := failpoint.Hit("raftfsm/before-snapshot-sync"); err != nil {
		return err
	}
	return k.file.Sync()
}

func (k *snapshotSink) publish() error {
	fsys := k.store.fs
	if err := k.file.Close(); err != nil {
		return errors.Join(err, fsys.Remove(k.temp))
	}
	if err := fsys.Rename(k.temp, k.store.file(k.meta.ID)); err != nil {
		return errors.Join(err, fsys.Remove(k.temp))
	}
	if err := fsys.SyncDir(k.store.dir); err != nil {
		return err
	}
	if err := k.store.verify(k.meta.ID); err != nil {
		return errors.Join(err, k.store.discard(k.meta.ID))
	}
	return nil
}
