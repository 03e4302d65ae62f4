package gossip

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"skein/raftfsm/fleet"
)

const (
	// rejoinEvery is measured: it brings back a host within 1 s of a healed cut,
	// where memberlist alone never does.
	rejoinEvery = 5 * time.Second
	// rejoinJitter spreads the rounds of many hosts over a fifth of the interval.
	rejoinJitter = rejoinEvery / 5
	// rejoinTries is how many missing addresses one round dials. One contact
	// merges two halves; three make up for dead ones among them.
	rejoinTries = 3
	// sweepEvery is how often the tables are compared with the membership.
	sweepEvery = 30 * time.Second
	// announceTimeout bounds how long a role change waits to be sent.
	announceTimeout = time.Second
)

// The pace of a host's own reports. Gossip does not scale with more.
const (
	paceFloor   = gossipInterval
	paceBudget  = 21_000 // bytes a second a member may send: 15 packets of 1,400 B, of 16
	reportGuess = 200    // bytes of a usual report
)

// pace is the least time between two broadcasts of one host in a ring of n.
func pace(n int) time.Duration {
	sends := reportRetransmit * math.Ceil(math.Log10(float64(n+1)))
	seconds := float64(n) * sends * reportGuess / paceBudget
	return max(paceFloor, time.Duration(seconds*float64(time.Second)))
}

// Run works until ctx ends: it rejoins hosts that addrs has and the ring has
// not, takes in what others sent, and sends this host's reports on. addrs
// returns the gossip addresses State knows; this host's own may be among them.
// A dial under way ends by itself within five seconds after Run has returned.
func (r *Ring) Run(ctx context.Context, addrs func() []netip.AddrPort) error {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	rejoin := time.NewTimer(0)
	defer rejoin.Stop()
	send := time.NewTimer(0)
	defer send.Stop()
	var sentAt time.Time
	joined := make(chan struct{}, 1)
	for {
		select {
		case <-ctx.Done():
			return nil
		case b := <-r.messages:
			r.takeReport(b, true)
		case b := <-r.states:
			r.takeState(b)
		case e := <-r.events:
			r.logEvent(e)
		case <-r.publish:
			send.Reset(time.Until(sentAt.Add(pace(int(r.count.Load())))))
		case <-send.C:
			if r.sendOwn() {
				sentAt = time.Now()
			}
		case <-r.announce:
			if err := r.list.UpdateNode(announceTimeout); err != nil {
				r.log.Debug("role announced late", "err", err)
			}
		case <-rejoin.C:
			missing := r.missing(addrs())
			go func() {
				r.join(missing)
				joined <- struct{}{}
			}()
		case <-joined:
			rejoin.Reset(rejoinEvery - rejoinJitter/2 + rand.N(rejoinJitter))
		case <-sweep.C:
			r.sweep(time.Now())
		}
	}
}

// missing picks a few addresses that no member has.
func (r *Ring) missing(addrs []netip.AddrPort) []netip.AddrPort {
	present := map[netip.AddrPort]bool{r.Addr(): true}
	r.mu.Lock()
	for _, m := range r.members {
		present[m.Addr] = true
	}
	r.mu.Unlock()
	out := slices.DeleteFunc(slices.Clone(addrs), func(a netip.AddrPort) bool { return !a.IsValid() || present[a] })
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out[:min(len(out), rejoinTries)]
}

// join does a push/pull with each address and waits for all.
func (r *Ring) join(addrs []netip.AddrPort) {
	var wait sync.WaitGroup
	for _, addr := range addrs {
		wait.Go(func() {
			// memberlist logs why; an address that does not answer is normal here.
			if _, err := r.list.Join([]string{addr.String()}); err != nil {
				r.log.Debug("gossip peer not joined", "addr", addr.String(), "err", err)
			}
		})
	}
	wait.Wait()
}

// takeReport stores a report if it is newer, and sends it on if it came alone:
// user broadcasts travel one hop only.
func (r *Ring) takeReport(b []byte, forward bool) {
	report, err := decodeReport(b)
	switch {
	case errors.Is(err, errNewer):
		r.stats.newer.Add(1)
		return
	case err != nil:
		r.stats.refused.Add(1)
		r.log.Debug("capacity report refused", "err", err)
		return
	}
	if r.take(report, b) && forward {
		r.queueReport(report.Host, b)
	}
}

// meetSelf looks at a report in this host's name. An older one is an echo, as any
// is before this life of the agent has opened a session; a newer one was made by
// somebody else with this host's identity.
func (r *Ring) meetSelf(report fleet.CapacityReport) {
	r.mu.Lock()
	own, _, ok := r.table.get(r.cfg.Host)
	r.mu.Unlock()
	if ok && own.Nonce != 0 && report.Newer(&own) {
		r.stats.conflicts.Add(1)
		r.note(event{what: eventTwin, host: report.Host, name: r.cfg.Name, addr: r.Addr()})
	}
}

func (r *Ring) takeState(b []byte) {
	err := splitState(b, func(report []byte) { r.takeReport(report, false) })
	if err != nil {
		r.stats.refused.Add(1)
		r.log.Debug("push/pull state refused", "err", err)
	}
}

// sendOwn queues this host's newest report; false if there is none yet.
func (r *Ring) sendOwn() bool {
	r.mu.Lock()
	held, ok := r.table.rows[r.cfg.Host]
	r.mu.Unlock()
	if !ok {
		return false
	}
	r.queueReport(r.cfg.Host, held.encoded)
	return true
}

func (r *Ring) queueReport(host fleet.HostID, encoded []byte) {
	r.queue.QueueBroadcast(&broadcast{host: host, encoded: encoded})
	if r.queue.NumQueued() > maxQueued {
		r.queue.Prune(maxQueued)
	}
}

func (r *Ring) sweep(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	isMember := func(host fleet.HostID) bool {
		_, ok := r.members[host]
		return ok || host == r.cfg.Host
	}
	r.table.sweep(isMember, now)
	for host, g := range r.gone {
		if now.Sub(g.since) >= retention {
			delete(r.gone, host)
		}
	}
	for host, at := range r.answered {
		if !isMember(host) && now.Sub(at) >= retention {
			delete(r.answered, host)
		}
	}
}
