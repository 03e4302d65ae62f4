//go:build failpoints

package failpoint

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Enabled reports whether this build contains failpoints.
const Enabled = true

type action struct {
	what  string // "error", "sleep", "panic", "kill"
	sleep time.Duration
	nth   int // 0: every hit; else this hit only
	hits  int
}

var points = struct {
	sync.Mutex
	known map[string]bool
	armed map[string]*action
}{known: map[string]bool{}, armed: map[string]*action{}}

func init() {
	if err := arm(os.Getenv(EnvVar)); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", EnvVar, err)
		os.Exit(2)
	}
}

func arm(list string) error {
	for _, item := range strings.Split(list, ";") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		name, text, ok := strings.Cut(item, "=")
		if !ok {
			return fmt.Errorf("%q: want name=action", item)
		}
		if err := Set(strings.TrimSpace(name), text); err != nil {
			return err
		}
	}
	return nil
}

// Register makes names known to Names before they are first hit. Its result is
// for `var _ = failpoint.Register(...)`.
func Register(names ...string) struct{} {
	points.Lock()
	defer points.Unlock()
	for _, name := range names {
		points.known[name] = true
	}
	return struct{}{}
}

// Names returns every place registered, hit or armed so far, sorted.
func Names() []string {
	points.Lock()
	defer points.Unlock()
	names := make([]string, 0, len(points.known))
	for name := range points.known {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Set arms a place with an action as in SKEIN_FAILPOINTS; "off" disarms it.
func Set(name, text string) error {
	a, err := parse(strings.TrimSpace(text))
	if err != nil {
		return fmt.Errorf("failpoint %s: %w", name, err)
	}
	points.Lock()
	defer points.Unlock()
	points.known[name] = true
	if a == nil {
		delete(points.armed, name)
	} else {
		points.armed[name] = a
	}
	return nil
}

func parse(text string) (*action, error) {
	a := &action{what: text}
	if count, rest, ok := strings.Cut(text, "*"); ok {
		n, err := strconv.Atoi(count)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("count %q: want a number from 1 on", count)
		}
		a.nth, a.what = n, rest
	}
	if inner, ok := strings.CutPrefix(a.what, "sleep("); ok {
		d, err := time.ParseDuration(strings.TrimSuffix(inner, ")"))
		if err != nil || d < 0 || !strings.HasSuffix(inner, ")") {
			return nil, fmt.Errorf("action %q: want sleep(DURATION)", text)
		}
		a.what, a.sleep = "sleep", d
		return a, nil
	}
	switch a.what {
	case "error", "panic", "kill":
		return a, nil
	case "off":
		return nil, nil
	}
	return nil, fmt.Errorf("action %q: allowed are error, sleep(DURATION), panic, kill, off, each with a leading \"N*\"",
		text)
}

// Hit marks a place. It returns ErrInjected when the place is armed with error,
// and nil otherwise.
func Hit(name string) error {
	points.Lock()
	points.known[name] = true
	a := points.armed[name]
	if a != nil {
		a.hits++
		if a.nth != 0 && a.hits != a.nth {
			a = nil
		}
	}
	points.Unlock()
	if a == nil {
		return nil
	}
	switch a.what {
	case "sleep":
		time.Sleep(a.sleep)
	case "panic":
		panic("failpoint " + name)
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way: nothing more may happen
	case "error":
		return fmt.Errorf("%s: %w", name, ErrInjected)
	}
	return nil
}
