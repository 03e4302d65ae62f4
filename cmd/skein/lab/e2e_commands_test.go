//go:build e2e

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestE2EUpKilledHalfWayIsRemovedAndMadeAgain(t *testing.T) {
	l := newTestLab(t)
	begin := time.Now()
	if out, err := exec.Command(os.Args[0], "standin", "up", l.name, l.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	whole := time.Since(begin)
	if err := l.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	const kills = 24 // from the first moment to the last step
	for i := range kills {
		after := whole * time.Duration(i) / kills
		cmd := exec.Command(os.Args[0], "standin", "up", l.name, l.dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		<-time.After(after) // the moment of this kill
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		s, err := l.load()
		reached := "nothing"
		if err == nil {
			reached = fmt.Sprintf("%d hosts, complete %v", len(s.Hosts), s.Complete)
		}
		if err := l.Down(t.Context()); err != nil {
			t.Fatalf("down of an up killed after %s: %v", after, err)
		}
		// A child that was forked and not yet executed when its parent was killed
		// ends by itself once it finds that nobody gives it orders.
		until(t, fmt.Sprintf("nothing left after the down of an up killed after %s", after), 5*time.Second,
			func() (string, bool) {
				left := traces(l, l.dir)
				return strings.Join(left, "\n"), len(left) == 0
			})
		t.Logf("killed after %s of %s: it had reached %s", after.Round(time.Millisecond), whole.Round(time.Millisecond),
			reached)
	}
	cmd := exec.Command(os.Args[0], "standin", "up", l.name, l.dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "a half-made lab", 10*time.Second, func() (string, bool) {
		s, err := l.load()
		return fmt.Sprint(err), err == nil && len(s.Hosts) == 1 && s.Hosts[0].Init.PID != 0
	})
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	up(t, l, "a", "b") // without a down
}

func TestE2ETwoCommandsAtOnceWaitForEachOther(t *testing.T) {
	l := newTestLab(t)
	var mu sync.Mutex
	var said []string
	other := *l
	other.say = func(text string) { mu.Lock(); said = append(said, text); mu.Unlock() }
	results := make(chan error, 2)
	go func() { results <- l.Up(t.Context(), UpOptions{Zones: []string{"a"}}) }()
	until(t, "the first holds the lock", 5*time.Second, func() (string, bool) {
		_, err := l.load()
		return fmt.Sprint(err), err == nil
	})
	go func() { results <- other.Up(t.Context(), UpOptions{Zones: []string{"a"}}) }()
	var errs []error
	for range 2 {
		errs = append(errs, <-results)
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	if errs[0] != nil || !errors.Is(errs[1], ErrUp) {
		t.Errorf("two ups: %v", errs)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(said) == 0 || !strings.Contains(said[0], fmt.Sprintf("waiting for skein lab up (pid %d)", os.Getpid())) {
		t.Errorf("the second did not say whom it waits for: %q", said)
	}

	twice := func(do func() error) [2]error {
		done := make(chan error, 2)
		for range 2 {
			go func() { done <- do() }()
		}
		return [2]error{<-done, <-done}
	}
	names := make(chan string, 2)
	if errs := twice(func() error {
		name, err := l.Add(t.Context(), "b")
		names <- name
		return err
	}); errs[0] != nil || errs[1] != nil {
		t.Fatalf("two adds: %v", errs)
	}
	if one, two := <-names, <-names; one == two {
		t.Errorf("two adds made %s twice", one)
	}
	if errs := twice(func() error { return l.Kill(t.Context(), "h1") }); (errs[0] == nil) == (errs[1] == nil) ||
		!errors.Is(errors.Join(errs[:]...), ErrState) {
		t.Errorf("of two kills one finds a host that is dead: %v", errs)
	}
	if errs := twice(func() error { return l.Start(t.Context(), "h1") }); errs[0] != nil || errs[1] != nil {
		t.Errorf("two starts: %v", errs)
	}
	if errs := twice(func() error { return l.Down(t.Context()) }); errs[0] != nil || errs[1] != nil {
		t.Errorf("two downs: %v", errs)
	}
}

func TestE2ETwoLabsSideBySide(t *testing.T) {
	one, two := newTestLab(t), newTestLab(t)
	errs := make(chan error, 2)
	for _, l := range []*Lab{one, two} {
		go func() { errs <- l.Up(context.Background(), UpOptions{Zones: []string{"a"}}) }()
	}
	if err := errors.Join(<-errs, <-errs); err != nil {
		t.Fatal(err)
	}
	a, err := one.load()
	if err != nil {
		t.Fatal(err)
	}
	b, err := two.load()
	if err != nil {
		t.Fatal(err)
	}
	if a.Subnet.Overlaps(b.Subnet) {
		t.Errorf("both have %s", a.Subnet)
	}
	if err := one.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	target := address(t, two, "h1", PeerPort)
	until(t, "the other lab answers", 10*time.Second, func() (string, bool) {
		err := roundTrip(target, time.Second)
		return fmt.Sprint(err), err == nil
	})
}
