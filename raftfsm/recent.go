package raftfsm

import "github.com/hashicorp/raft"

// The newest entries are kept in memory: replication and apply read what was
// appended a moment ago, and a read that fails is fatal to the library.
const (
	maxRecent      = 1024     // entries; two rounds of the library's largest batch and more
	maxRecentBytes = 32 << 20 // 64 entries of the largest size
)

// recentLogs are entries with consecutive indices. The owner locks.
type recentLogs struct {
	logs  []raft.Log
	bytes int
}

func (r *recentLogs) get(index uint64, log *raft.Log) bool {
	if len(r.logs) == 0 || index < r.logs[0].Index || index > r.logs[len(r.logs)-1].Index {
		return false
	}
	*log = r.logs[index-r.logs[0].Index]
	return true
}

// add appends entries that follow the last one.
func (r *recentLogs) add(logs []*raft.Log) {
	for _, log := range logs {
		r.logs = append(r.logs, *log)
		r.bytes += len(log.Data)
	}
	drop := 0
	for drop < len(r.logs) && (len(r.logs)-drop > maxRecent || r.bytes > maxRecentBytes) {
		r.bytes -= len(r.logs[drop].Data)
		r.logs[drop] = raft.Log{} // let its memory go
		drop++
	}
	r.logs = r.logs[drop:]
}

func (r *recentLogs) clear() { *r = recentLogs{} }

// dropTo forgets entries up to index.
func (r *recentLogs) dropTo(index uint64) {
	for len(r.logs) > 0 && r.logs[0].Index <= index {
		r.bytes -= len(r.logs[0].Data)
		r.logs[0] = raft.Log{}
		r.logs = r.logs[1:]
	}
}

// dropFrom forgets entries from index on.
func (r *recentLogs) dropFrom(index uint64) {
	for n := len(r.logs); n > 0 && r.logs[n-1].Index >= index; n-- {
		r.bytes -= len(r.logs[n-1].Data)
		r.logs[n-1] = raft.Log{}
		r.logs = r.logs[:n-1]
	}
}
