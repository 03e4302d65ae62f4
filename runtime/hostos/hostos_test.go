package hostos

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func machineOf(t *testing.T, files map[string]string) Machine {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		full := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Machine{Proc: filepath.Join(root, "proc"), Etc: filepath.Join(root, "etc")}
}

func TestFactsOfAMachine(t *testing.T) {
	m := machineOf(t, map[string]string{
		"proc/sys/kernel/random/boot_id": "11111111-2222-3333-4444-555555555555\n",
		"proc/sys/kernel/osrelease":      "6.1.0-28-amd64\n",
		"proc/meminfo":                   "MemTotal:       16384000 kB\nMemFree:  1 kB\nMemAvailable:    8192000 kB\n",
		"etc/os-release": "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n# a " +
			"comment\nVARIANT='skein'\nID=debian\n",
	})
	boot, err := m.BootID()
	if err != nil || boot != "11111111-2222-3333-4444-555555555555" {
		t.Errorf("BootID = %q, %v", boot, err)
	}
	kernel, err := m.Kernel()
	if err != nil || kernel != "6.1.0-28-amd64" {
		t.Errorf("Kernel = %q, %v", kernel, err)
	}
	total, available, err := m.Memory()
	if err != nil || total != 16000 || available != 8000 {
		t.Errorf("Memory = %d, %d, %v", total, available, err)
	}
	image, err := m.OSImage()
	if err != nil || image != "Debian GNU/Linux 12 (bookworm) skein" {
		t.Errorf("OSImage = %q, %v", image, err)
	}
	if m.CPUs() < 1 {
		t.Error("a machine has at least one cpu")
	}
}

func TestMissingFactsAreErrorsThatNameThem(t *testing.T) {
	m := machineOf(t, map[string]string{"proc/meminfo": "nothing here\n", "etc/os-release": "ID=x\n"})
	cases := map[string]func() error{
		"boot id":  func() error { _, err := m.BootID(); return err },
		"kernel":   func() error { _, err := m.Kernel(); return err },
		"memory":   func() error { _, _, err := m.Memory(); return err },
		"os image": func() error { _, err := m.OSImage(); return err },
	}
	for want, ask := range cases {
		if err := ask(); err == nil || !strings.HasPrefix(err.Error(), want+":") {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

func TestABootFileReplacesTheKernelsBootID(t *testing.T) {
	name := filepath.Join(t.TempDir(), "boot")
	if err := os.WriteFile(name, []byte("lab-1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if boot, err := (Machine{BootFile: name}).BootID(); err != nil || boot != "lab-1" {
		t.Errorf("BootID = %q, %v", boot, err)
	}
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if boot, err := (Machine{BootFile: name}).BootID(); err == nil {
		t.Errorf("an empty boot file gave boot id %q", boot)
	}
}

func TestThisMachineHasFacts(t *testing.T) {
	var m Machine
	if _, err := m.BootID(); err != nil {
		t.Error(err)
	}
	if _, _, err := m.Memory(); err != nil {
		t.Error(err)
	}
	free, size, err := DiskFree(t.TempDir())
	if err != nil || free <= 0 || size < free {
		t.Errorf("DiskFree = %d of %d, %v", free, size, err)
	}
}

// ticks feeds a meter n ticks that each come late by late and returns the time.
func ticks(l *Starvation, now time.Duration, n int, late time.Duration) time.Duration {
	due := max(l.due, now)
	for range n {
		now = due + late
		due = l.Tick(now)
	}
	return now
}

// ticksFor feeds a meter ticks on time, for so long.
func ticksFor(l *Starvation, now, d time.Duration) time.Duration {
	for end := now + d; l.due < end; {
		now = l.due
		l.Tick(now)
	}
	return now
}

func TestStarvation(t *testing.T) {
	t.Run("a host on time is not starved and ticks seldom", func(t *testing.T) {
		var l Starvation
		now := ticks(&l, 0, 1000, time.Millisecond)
		if l.Starved(now) {
			t.Error("starved after ticks 1 ms late")
		}
		if want := 999 * CalmTick; now < want || now > want+Tick {
			t.Errorf("1,000 ticks took %v, want %v", now, want)
		}
	})
	t.Run("a late tick has the meter look closely for a window", func(t *testing.T) {
		var l Starvation
		now := ticks(&l, 0, 10, 0)
		late := ticks(&l, now, 1, Late)
		for now = late; now-late < Window-Tick; now = l.due {
			if due := l.Tick(now); due-now > Tick {
				t.Fatalf("%v after a late tick the next is %v away", now-late, due-now)
			}
		}
		now = ticks(&l, now, 2, 0)
		if due := l.Tick(now); due-now <= Tick {
			t.Errorf("the next tick is still %v away after a window on time", due-now)
		}
	})
	t.Run("one very late tick starves for a whole window", func(t *testing.T) {
		var l Starvation
		now := ticks(&l, 0, 10, 0)
		late := ticks(&l, now, 1, VeryLate)
		if !l.Starved(late) || l.Worst() != VeryLate {
			t.Fatalf("starved %v, worst %v", l.Starved(late), l.Worst())
		}
		if now = ticksFor(&l, late, Window-Tick); !l.Starved(now) {
			t.Error("trusted again before the window had passed")
		}
		if now = ticks(&l, now, 3, 0); l.Starved(now) {
			t.Error("still starved after a window on time")
		}
	})
	t.Run("a few late ticks are not starvation, a tenth of them is", func(t *testing.T) {
		var l Starvation
		now := ticks(&l, 0, windowTicks, 0)
		now = ticks(&l, now, windowTicks/10, Late)
		if l.Starved(now) {
			t.Fatal("starved at exactly the share")
		}
		if now = ticks(&l, now, 1, Late); !l.Starved(now) {
			t.Error("not starved above the share")
		}
	})
	t.Run("late ticks of the window before do not count", func(t *testing.T) {
		var l Starvation
		now := ticks(&l, 0, windowTicks/10, Late)
		now = ticksFor(&l, now, 2*Window)
		if now = ticks(&l, now, 2, Late); l.Starved(now) {
			t.Error("starved by late ticks of which most are old")
		}
	})
	t.Run("a slow disk starves", func(t *testing.T) {
		var l Starvation
		l.Sync(0, SlowSync-1)
		if l.Starved(1) {
			t.Fatal("starved by a quick write")
		}
		l.Sync(0, SlowSync)
		if !l.Starved(1) || l.Starved(Window) {
			t.Error("want starved for one window")
		}
	})
	t.Run("the worst delay is forgotten after two windows", func(t *testing.T) {
		var l Starvation
		now := ticks(&l, 0, 1, 0)
		now = ticks(&l, now, 1, VeryLate)
		ticksFor(&l, now, 2*Window+2*CalmTick)
		if l.Worst() >= VeryLate {
			t.Errorf("worst is still %v", l.Worst())
		}
	})
}

func TestMeterRunsUntilItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		m := NewMeter(func() time.Duration { return time.Since(start) })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		time.Sleep(2 * Window)
		if starved, worst := m.Starved(); starved || worst != 0 {
			t.Errorf("starved %v, worst %v in fake time", starved, worst)
		}
		m.Sync(2 * SlowSync)
		if starved, _ := m.Starved(); !starved {
			t.Error("a slow disk went unnoticed")
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		time.Sleep(Window)
		if starved, _ := m.Starved(); !starved {
			t.Error("a meter that nobody wakes is starved")
		}
	})
}
