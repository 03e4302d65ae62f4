package ingress_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"skein/raftfsm/fleet"
)

// Each row is a ratio of two that were measured in turn, in one run: first one, then the
// other, then the other way round. Figures of the machine alone mean little on shared
// cores; processor time for each request means most.
const (
	pairs    = 5
	round    = 600 * time.Millisecond
	clients  = 32
	question = "GET /api/items/1234567 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench/1.0 (X11; Linux x86_64)\r\n" +
		"Accept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip, deflate, br\r\n" +
		"Cookie: session=0123456789abcdef\r\n\r\n"
)

// shop is routes of n services behind one listener, each with a host of its own, of which the
// last is shop.example. Its group has the target, and another of no weight.
func shop(n int, target string) fleet.Routes {
	routes := fleet.Routes{Listeners: []fleet.Listener{{Name: "web", Port: 80, Protocol: fleet.ListenHTTP}}}
	addr := netip.MustParseAddrPort(target)
	for i := range n {
		host := fmt.Sprintf("s%d.example", i)
		if i == n-1 {
			host = "shop.example"
		}
		blue, green := fleet.TargetGroupName(fmt.Sprintf("s%d-blue", i)), fleet.TargetGroupName(fmt.Sprintf("s%d-green", i))
		routes.Rules = append(routes.Rules, fleet.Rule{
			ID: fleet.RuleID(fmt.Sprintf("web/s%d", i)), Listener: "web", Priority: i + 1,
			Conditions: []fleet.RuleCondition{
				{Field: fleet.FieldHost, Values: []string{host}}, {Field: fleet.FieldPath, Values: []string{"/api/*"}},
			},
			Action: to(fleet.GroupWeight{Group: blue, Weight: 10_000}, fleet.GroupWeight{Group: green}),
		})
		for _, group := range []fleet.TargetGroupName{blue, green} {
			routes.Groups = append(routes.Groups, fleet.GroupTargets{
				TargetGroup: fleet.TargetGroup{Name: group, Protocol: fleet.GroupHTTP1},
				Targets: []fleet.Target{{
					Task: fleet.TaskID(group), Addr: addr, Zone: "a", State: fleet.TargetHealthy,
					Revision: fleet.RevisionID(group),
				}},
			})
		}
	}
	return routes
}

func BenchmarkHTTP1KeepAlive(b *testing.B) {
	target := start(b, "backend", order{}).address
	ours := start(b, "ingress", order{Routes: shop(1, target)})
	b.Run("of-haproxy", func(b *testing.B) { compare(b, ours, startHAProxy(b, "http", target)) })
	b.Run("of-itself", func(b *testing.B) { compare(b, ours, start(b, "ingress", order{Routes: shop(1, target)})) })
	b.Run("services=1000/of-one", func(b *testing.B) {
		compare(b, start(b, "ingress", order{Routes: shop(1000, target)}), ours)
	})
	b.Run("weights-change/of-still", func(b *testing.B) {
		compare(b, start(b, "ingress", order{Routes: shop(100, target), Shake: true}), ours)
	})
}

func BenchmarkHTTP1HalfLoad(b *testing.B) {
	target := start(b, "backend", order{}).address
	ours := start(b, "ingress", order{Routes: shop(1, target)})
	haproxy := startHAProxy(b, "http", target)
	for b.Loop() {
		rate := closedLoop(b, haproxy.address, round) / 2
		var ratios []float64
		for i := range pairs {
			p99 := map[process]time.Duration{}
			for _, p := range inTurn(i, ours, haproxy) {
				p99[p] += openLoop(b, p.address, rate, round)
			}
			ratios = append(ratios, float64(p99[ours])/float64(p99[haproxy]))
		}
		report(b, ratios, "p99-of-haproxy")
	}
}

func BenchmarkTCP(b *testing.B) {
	target := start(b, "backend", order{}).address
	routes := fleet.Routes{
		Listeners: []fleet.Listener{{Name: "db", Port: 1, Protocol: fleet.ListenTCP}},
		Rules:     []fleet.Rule{{ID: "db/default", Listener: "db", Action: all("db")}},
		Groups: []fleet.GroupTargets{{
			TargetGroup: fleet.TargetGroup{Name: "db", Protocol: fleet.GroupTCP},
			Targets: []fleet.Target{{
				Task: "db", Addr: netip.MustParseAddrPort(target), Zone: "a", State: fleet.TargetHealthy,
			}},
		}},
	}
	ours := start(b, "ingress", order{Routes: routes})
	b.Run("of-splice", func(b *testing.B) { compare(b, ours, start(b, "splice", order{Target: target})) })
	b.Run("of-haproxy", func(b *testing.B) { compare(b, ours, startHAProxy(b, "tcp", target)) })
}

// inTurn is a, b, b, a in even rounds, and the other way round in odd ones.
func inTurn(i int, a, b process) []process {
	if i%2 == 1 {
		a, b = b, a
	}
	return []process{a, b, b, a}
}

// compare says how many requests ours answers for each of the other's, and how much
// processor time a request costs the other for each that it costs ours: higher is better.
func compare(b *testing.B, ours, other process) {
	for b.Loop() {
		var rates, costs []float64
		var spent time.Duration
		var answered float64
		for _, p := range []process{ours, other} {
			closedLoop(b, p.address, round) // warm
		}
		for i := range pairs {
			rate, cost := map[process]float64{}, map[process]float64{}
			for _, p := range inTurn(i, ours, other) {
				before := p.spent(b)
				got := closedLoop(b, p.address, round)
				used := p.spent(b) - before
				rate[p] += got
				cost[p] += float64(used) / (got * round.Seconds())
				if p == ours {
					spent += used
					answered += got * round.Seconds()
				}
			}
			rates = append(rates, rate[ours]/rate[other])
			costs = append(costs, cost[other]/cost[ours])
		}
		report(b, rates, "rate-ratio")
		report(b, costs, "cpu-ratio")
		b.ReportMetric(float64(spent.Nanoseconds())/answered, "cpu-ns/request")
		b.ReportMetric(0, "ns/op")
	}
}

// report says the median of ratios, and how far the middle half lies apart.
func report(b *testing.B, ratios []float64, name string) {
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], name)
	b.ReportMetric(ratios[3*len(ratios)/4]-ratios[len(ratios)/4], name+"-spread")
}

// closedLoop asks as fast as answers come, and returns how many come a second.
func closedLoop(b *testing.B, address string, d time.Duration) float64 {
	b.Helper()
	var count atomic.Int64
	began := time.Now()
	eachClient(b, address, func(_ int, ask func() error) error {
		n := 0
		defer func() { count.Add(int64(n)) }()
		for ; time.Since(began) < d; n++ {
			if err := ask(); err != nil {
				return err
			}
		}
		return nil
	})
	return float64(count.Load()) / time.Since(began).Seconds()
}

// openLoop asks at a rate whether answers come or not, and returns the latency that 99 of 100
// answers keep to, counted from when a request was due.
func openLoop(b *testing.B, address string, rate float64, d time.Duration) time.Duration {
	b.Helper()
	every := time.Duration(float64(clients) / rate * float64(time.Second))
	var mu sync.Mutex
	var latencies []time.Duration
	began := time.Now()
	eachClient(b, address, func(i int, ask func() error) error {
		var mine []time.Duration
		defer func() {
			mu.Lock()
			latencies = append(latencies, mine...)
			mu.Unlock()
		}()
		for due := began.Add(every * time.Duration(i) / clients); due.Sub(began) < d; due = due.Add(every) {
			<-time.After(time.Until(due))
			if err := ask(); err != nil {
				return err
			}
			mine = append(mine, time.Since(due))
		}
		return nil
	})
	slices.Sort(latencies)
	return latencies[len(latencies)*99/100]
}

// eachClient runs as many clients at once, each with a connection that is kept.
func eachClient(b *testing.B, address string, run func(i int, ask func() error) error) {
	b.Helper()
	var done sync.WaitGroup
	failed := make(chan error, clients)
	for i := range clients {
		done.Go(func() {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				failed <- err
				return
			}
			defer func() { _ = conn.Close() }()
			if err = run(i, asker(conn)); err != nil {
				failed <- err
			}
		})
	}
	done.Wait()
	if len(failed) > 0 {
		b.Fatal(<-failed)
	}
}

// asker asks once and reads the answer, which has the same length each time.
func asker(conn net.Conn) func() error {
	asked, buf := []byte(question), make([]byte, 4<<10)
	size := 0
	return func() error {
		if _, err := conn.Write(asked); err != nil {
			return err
		}
		for have := 0; size == 0 || have < size; {
			n, err := conn.Read(buf[have:])
			if err != nil {
				return fmt.Errorf("no answer: %w", err)
			}
			have += n
			if end := bytes.Index(buf[:have], []byte("\r\n\r\n")); end >= 0 && size == 0 {
				size = end + 4 + 256
			}
		}
		if !bytes.HasPrefix(buf, []byte("HTTP/1.1 200")) {
			return fmt.Errorf("the answer is %q", buf[:size])
		}
		return nil
	}
}

// What a request allocates is what a collector has to clear away.
func TestARequestOnAKeptConnectionAllocatesNearlyNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector throws away what pools keep")
	}
	r := simple(t, canned(t, "HTTP/1.1 200 OK\nContent-Length: 256\n\n"+strings.Repeat("x", 256)))
	c := r.dial(80)
	ask := asker(c)
	for range 100 {
		if err := ask(); err != nil {
			t.Fatal(err)
		}
	}
	const n = 2000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n {
		if err := ask(); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if per := float64(after.Mallocs-before.Mallocs) / n; per > 0.5 {
		t.Errorf("%.1f allocations a request", per)
	} else {
		t.Logf("%.2f allocations a request", per)
	}
}
