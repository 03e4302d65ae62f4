package raftfsm

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock/clocktest"
)

// TestAcknowledgedWritesSurviveAnything runs clients against three voters while
// disks stall, fail and lose what was not synced, links are cut one way or both,
// and nodes stop. Never is more than one node at fault at a time, so that no
// majority is ever lost (I11). At the end everything acknowledged is there,
// nothing was done twice, and all States are equal.
func TestAcknowledgedWritesSurviveAnything(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SKEIN_TEST_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	rounds := 6
	if testing.Short() {
		rounds = 1
	}
	if text := os.Getenv("SKEIN_TEST_ROUNDS"); text != "" {
		rounds, _ = strconv.Atoi(text)
	}
	seen := map[string]int{}
	for round := range rounds {
		t.Run(fmt.Sprintf("seed %d", seed+uint64(round)), func(t *testing.T) {
			runChaos(t, rand.New(rand.NewPCG(seed+uint64(round), 0)), seen)
		})
	}
	t.Logf("faults: %v", seen)
}

func runChaos(t *testing.T, random *rand.Rand, seen map[string]int) {
	faults := newFaulty()
	every, trailing := 5+random.Uint64N(50), 1+random.Uint64N(20)
	config := func(cfg *Config) {
		faults.config(cfg)
		cfg.SnapshotEvery, cfg.TrailingLogs, cfg.Timing.Snapshot = every, trailing, time.Second
		cfg.segmentBytes = 4 << 10
	}
	inCluster(t, 3, config, func(t *testing.T, c *cluster) {
		// Clients reach whoever leads, each with one call at a time.
		nodes := make([]atomic.Pointer[Node], len(c.hosts))
		for i, h := range c.hosts {
			nodes[i].Store(h.node)
		}
		var stop atomic.Bool
		acknowledged := make(chan []string)
		const clients = 4
		for i := range clients {
			go func() { acknowledged <- client(t, fmt.Sprint("c", i), nodes, &stop) }()
		}

		for range 30 {
			h := c.hosts[random.IntN(3)]
			i := int(h.id[len(h.id)-1]-'0') - 1
			hold := time.Duration(random.IntN(6000)) * time.Millisecond
			fault := []string{"kill", "stop", "isolate", "cut out", "cut in", "stall", "fail"}[random.IntN(7)]
			seen[fault]++
			switch fault {
			case "kill", "stop":
				nodes[i].Store(nil)
				if fault == "kill" {
					h.c.net.isolate(h.id, c.ids(), true)
					h.disk.StopAt(1 + random.IntN(5))
					_ = h.node.Close()
					h.disk.CrashKeeping(func() bool { return random.IntN(2) == 0 })
					h.c.net.isolate(h.id, c.ids(), false)
				} else {
					must(t, h.node.Close())
				}
				h.node = nil
				time.Sleep(hold)
			case "isolate":
				c.net.isolate(h.id, c.ids(), true)
				time.Sleep(hold)
				c.net.isolate(h.id, c.ids(), false)
			case "cut out", "cut in":
				for _, other := range c.ids() {
					if fault == "cut out" {
						c.net.cut(h.id, other, true)
					} else {
						c.net.cut(other, h.id, true)
					}
				}
				time.Sleep(hold)
				c.net.isolate(h.id, c.ids(), false)
			case "stall":
				release := make(chan struct{})
				faults.set(h, func() error { <-release; return nil })
				time.Sleep(hold)
				close(release)
			case "fail":
				faults.set(h, func() error { return syscall.EIO })
				time.Sleep(hold)
			}
			if h.node == nil || isOneOf(h.node.Trouble(), syscall.EIO) {
				nodes[i].Store(nil)
				if h.node != nil {
					h.stop()
				}
				if err := h.start(); err != nil {
					t.Fatalf("after %s: %v", fault, err)
				}
				nodes[i].Store(h.node)
			}
			faults.set(h, func() error { return nil })
			c.leader()
			c.caughtUp(h) // a minority at a time: the last one at fault has caught up
		}
		stop.Store(true)
		var all []string
		for range clients {
			all = append(all, <-acknowledged...)
		}
		c.put("last")
		c.converged()
		state := c.leader().node.State()
		for _, name := range all {
			if !has(state, name) {
				t.Errorf("%s was acknowledged and is gone", name)
			}
		}
		made := map[string]int{}
		for e := range state.EventsAfter(0) {
			if e.Code == "token-made" {
				made[e.Subject.String()]++
			}
		}
		for subject, n := range made {
			if n > 1 {
				t.Errorf("%s was made %d times", subject, n)
			}
		}
		if total := len(all); total < 100 {
			t.Errorf("only %d writes were acknowledged: this run proves nothing", total)
		}
		for _, h := range c.hosts {
			if got, want := fmt.Sprint(tokens(h.node.State())), fmt.Sprint(tokens(state)); got != want {
				t.Errorf("%s has %s, the leader %s", h.id, got, want)
			}
		}
		synctest.Wait()
	})
}

// caughtUp waits until one host has what the leader has now.
func (c *cluster) caughtUp(h *host) {
	c.t.Helper()
	want := c.leader().node.State().Index()
	c.await("the host has caught up", func() bool { return h.node.State().Index() >= want })
}

// client writes tokens one after the other through any leader it finds, each
// until it is acknowledged, with a receipt, and returns their names.
func client(t *testing.T, prefix string, nodes []atomic.Pointer[Node], stop *atomic.Bool) (done []string) {
	for i := 0; !stop.Load(); i++ {
		item := token(fmt.Sprintf("%s-%d", prefix, i))
		item.Receipt = &fleet.Receipt{Token: fmt.Sprintf("%s-%d", prefix, i), BodyHash: make([]byte, 32)}
		for at := i; !stop.Load(); at++ {
			node := nodes[at%len(nodes)].Load()
			if node == nil {
				clocktest.Elapse(50 * time.Millisecond)
				continue
			}
			results, _, err := node.Propose(t.Context(), []fleet.Item{item})
			if err == nil {
				err = results[0].Err
			}
			if err == nil {
				done = append(done, fmt.Sprintf("%s-%d", prefix, i))
				break
			}
			if !isOneOf(err, ErrNotLeader, ErrUnknown, ErrStalled, ErrClosed, ErrBusy) {
				t.Error(err)
				return done
			}
			clocktest.Elapse(50 * time.Millisecond)
		}
		clocktest.Elapse(100 * time.Millisecond)
	}
	return done
}
