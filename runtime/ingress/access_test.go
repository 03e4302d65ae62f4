package ingress_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress"
)

// disk is what an access log is written to.
type disk struct {
	mu     sync.Mutex
	lines  bytes.Buffer
	err    error
	stalls chan struct{} // nil: it does not
	calls  atomic.Int64
}

func (d *disk) Write(lines []byte) (int, error) {
	d.calls.Add(1)
	if d.stalls != nil {
		<-d.stalls
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return 0, d.err
	}
	return d.lines.Write(lines)
}

func (d *disk) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

// written are the lines that are on the disk.
func (d *disk) written(t *testing.T) (all []ingress.Access) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, line := range strings.Split(strings.TrimSuffix(d.lines.String(), "\n"), "\n") {
		var a ingress.Access
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("%v in the line %q", err, line)
		}
		all = append(all, a)
	}
	return all
}

func TestADiskThatHangsHoldsUpNoRequest(t *testing.T) {
	log := ingress.NewAccessWriter(1)
	stuck := &disk{stalls: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		log.Run(ctx, stuck, slog.New(slog.DiscardHandler))
	}()
	r := newRig(t, ingress.Config{Access: log})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP}, all("blue"))
	r.group(fleet.TargetGroup{Name: "blue", Protocol: fleet.GroupHTTP1}, backend(t, "a", echo))
	r.apply()
	c := r.dial(80)
	const requests = 3000
	for range requests { // more than wait to be written: each is answered while the disk hangs
		c.send("GET / HTTP/1.1\nHost: x\n\n")
		_ = read(t, c.receive("GET"))
	}
	if stuck.calls.Load() != 1 || log.Dropped() == 0 {
		t.Errorf("%d writes have begun and %d lines were dropped", stuck.calls.Load(), log.Dropped())
	}
	close(stuck.stalls)
	cancel()
	<-ended
	if lines, dropped := stuck.written(t), log.Dropped(); uint64(len(lines))+dropped != requests {
		t.Errorf("%d lines are written and %d were dropped of %d requests", len(lines), dropped, requests)
	}
}

func TestADiskThatFailsIsLeftAloneForAWhileAndToldOfOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := ingress.NewAccessWriter(1)
		full := &disk{err: errors.New("no space left on device")}
		var warnings bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		go log.Run(ctx, full, slog.New(slog.NewTextHandler(&warnings, nil)))
		defer cancel()
		write := func(path string) {
			log.Write(ingress.Access{Time: time.Now(), Status: 200, Path: path})
			synctest.Wait()
		}
		for range 10 {
			write("/lost")
		}
		if full.calls.Load() != 1 || log.Dropped() != 10 {
			t.Errorf("the disk was asked %d times and %d lines were dropped", full.calls.Load(), log.Dropped())
		}
		time.Sleep(5 * time.Second)
		write("/lost")
		full.fail(nil)
		time.Sleep(5 * time.Second)
		write("/kept")
		lines := full.written(t)
		if len(lines) != 1 || lines[0].Path != "/kept" || lines[0].Dropped != 11 {
			t.Errorf("the log has %+v", lines)
		}
		if n := strings.Count(warnings.String(), "\n"); n != 1 {
			t.Errorf("%d warnings:\n%s", n, warnings.String())
		}
	})
}

func TestWhatAClientSendsBreaksNoLineAndNamesNoSecret(t *testing.T) {
	log := ingress.NewAccessWriter(1)
	r := newRig(t, ingress.Config{Access: log})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP}, all("blue"))
	r.group(fleet.TargetGroup{Name: "blue", Protocol: fleet.GroupHTTP1}, backend(t, "a", echo))
	r.apply()
	hostile := []string{
		"GET /?token=SECRET HTTP/1.1\nHost: x\nCookie: a=SECRET\nAuthorization: Bearer SECRET\n\n",
		"GET /\"},{\"status\":200 HTTP/1.1\nHost: x\n\n",
		"GET /\\u000a\\ HTTP/1.1\nHost: x\n\n",
		"GET /\xff\xfe\u2028\u202e\u009b31m HTTP/1.1\nHost: x\n\n",
		"GET / HTTP/1.1\nHost: \"},{\"\nUser-Agent: \"}\x1b]0;\n\n",
		"GET /" + strings.Repeat("\u00e9", 5000) + " HTTP/1.1\nHost: " + strings.Repeat("h", 5000) + "\n\n",
		"\"\" / HTTP/1.1\nHost: x\n\n",
	}
	for _, request := range hostile {
		c := r.dial(80)
		c.send(request)
		response := c.receive("GET")
		_ = read(t, response)
		_ = c.Close()
	}
	out := &disk{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	log.Run(ctx, out, slog.New(slog.DiscardHandler))
	lines := out.written(t)
	if len(lines) < 3 {
		t.Errorf("only %d of the requests are written: the others are no test", len(lines))
	}
	text := out.lines.String()
	if strings.Contains(text, "SECRET") {
		t.Errorf("a secret is written:\n%s", text)
	}
	for _, r := range text {
		if r == 0x7f || r != '\n' && r < 0x20 || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x202e {
			t.Errorf("%U is written", r)
		}
	}
	for _, line := range lines {
		if len(line.Path) > 512 || len(line.Host) > 512 {
			t.Errorf("%d bytes of a path and %d of a host are written", len(line.Path), len(line.Host))
		}
	}
}

func TestALineSaysForHowManyRequestsItStands(t *testing.T) {
	log := ingress.NewAccessWriter(50)
	written := func(status int) (lines int) {
		for range 100 {
			if log.Wants(status) {
				log.Write(ingress.Access{Time: time.Now(), Status: status})
				lines++
			}
		}
		return lines
	}
	if ok, failed := written(204), written(502); ok != 2 || failed != 100 {
		t.Errorf("%d of 100 answers and %d of 100 failures are written", ok, failed)
	}
	out := &disk{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	log.Run(ctx, out, slog.New(slog.DiscardHandler))
	for _, line := range out.written(t) {
		if want := map[int]int{204: 50, 502: 0}[line.Status]; line.Sampled != want {
			t.Errorf("a line of status %d says sampled %d, want %d", line.Status, line.Sampled, want)
		}
	}
}
