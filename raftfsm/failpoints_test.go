//go:build failpoints

package raftfsm

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/failpoint"
)

const killedDirVar = "SKEIN_TEST_PROPOSE_IN"

// aloneIn opens a lone voter on the real disk, and makes its fleet if need be.
func aloneIn(t *testing.T, dir string) *Node {
	t.Helper()
	h := &host{id: "h-0000000000000001", n: 1}
	net := newMemnet()
	node, err := Open(Config{
		Dir: filepath.Join(dir, "raft"), ID: h.raftID(), Dial: net.dialer(h.id), Accept: net.listen(h.id),
		SnapshotEvery: 20, TrailingLogs: 5, Timing: Timing{Snapshot: 50 * time.Millisecond}, BallastBytes: -1,
	})
	must(t, err)
	if err := node.Bootstrap(t.Context(), initFleet(h)); err != nil && !errors.Is(err, ErrExists) {
		t.Fatal(err)
	}
	must(t, node.awaitLeadership(t.Context()))
	return node
}

// TestChildThatProposes is not a test: it is the process that kills itself.
func TestChildThatProposes(t *testing.T) {
	dir := os.Getenv(killedDirVar)
	if dir == "" {
		t.Skip("only run by TestAKillAtEveryFailpointLosesNothingAcknowledged")
	}
	node := aloneIn(t, dir)
	for i := 0; ; i++ {
		if i == 1500 { // tokens are limited: wait for the killer
			time.Sleep(time.Minute)
		}
		name := fmt.Sprintf("t-%d-%d", os.Getpid(), i)
		if results, _, err := node.Propose(t.Context(), []fleet.Item{token(name)}); err != nil || results[0].Err != nil {
			t.Fatal(results, err)
		}
		fmt.Println("acknowledged", name)
	}
}

func TestAKillAtEveryFailpointLosesNothingAcknowledged(t *testing.T) {
	var names []string
	for _, name := range failpoint.Names() {
		if strings.HasPrefix(name, "raftfsm/") {
			names = append(names, name)
		}
	}
	if len(names) < 7 {
		t.Fatalf("only %q are registered", names)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var acknowledged []string
			for _, nth := range []int{1, 2, 7} {
				acknowledged = append(acknowledged, proposeUntilKilled(t, dir, fmt.Sprintf("%s=%d*kill", name, nth))...)
			}
			node := aloneIn(t, dir)
			defer node.Close()
			must(t, node.Barrier(t.Context()))
			for _, token := range acknowledged {
				if !has(node.State(), token) {
					t.Errorf("%s was acknowledged and is gone", token)
				}
			}
			if v := node.store.stable; v.VoteTerm > v.Term || string(v.VoteFor) != string(node.ID()) {
				t.Errorf("the vote is torn: %+v", v)
			}
			must(t, node.State().Check())
		})
	}
}

// proposeUntilKilled runs the child with a failpoint that kills it; where the
// place is not reached in time, it is killed from outside.
func proposeUntilKilled(t *testing.T, dir, env string) (acknowledged []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChildThatProposes$", "-test.v")
	cmd.Env = append(os.Environ(), killedDirVar+"="+dir, failpoint.EnvVar+"="+env)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	timer := time.AfterFunc(4*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	lines := bufio.NewScanner(out)
	var last string
	for lines.Scan() {
		last += lines.Text() + "\n"
		if name, ok := strings.CutPrefix(lines.Text(), "acknowledged "); ok {
			acknowledged, last = append(acknowledged, name), ""
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() >= 0 {
		t.Fatalf("%s: the child ended by itself: %v\n%s", env, err, last)
	}
	return acknowledged
}
