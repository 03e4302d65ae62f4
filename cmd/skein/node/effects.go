package node

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"skein/agent/deployment/runner"
	"skein/agent/effects"
	"skein/agent/peer/rpc"
	"skein/raftfsm"
)

// executor carries effects out while this host leads.
func (n *node) executor(log *raftfsm.Node) *effects.Executor {
	return &effects.Executor{
		Log: log, Liveness: n.port.FailureDetector().Liveness, Mono: n.clock.Mono, Warn: n.Log.Warn,
		Ask: n.port.AskEffect, NotDone: rpc.NotDone,
	}
}

// runners are the effects that this host carries out.
func (n *node) runners() map[string]effects.Runner {
	return runner.Config{
		Allowed: n.hookAllowed, Now: n.clock.Now, LogFile: n.host.LogPath, ReadFile: readBounded,
		AliasAddr: n.aliasAddr,
	}.ByKind()
}

// hookAllowed asks the fleet's allow-list as this host's log has it.
func (n *node) hookAllowed(url string) error {
	log := n.voter.node()
	if log == nil {
		return runner.ErrUnknown
	}
	return log.State().CheckHookURL(url)
}

// readBounded reads a regular file that is no longer than most bytes. Others, a pipe say, might
// never answer.
func readBounded(name string, most int64) ([]byte, error) {
	file, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(data)) > most {
		return nil, fmt.Errorf("%s has more than %d bytes", name, most)
	}
	return data, err
}
