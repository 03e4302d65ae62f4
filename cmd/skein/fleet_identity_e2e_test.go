//go:build e2e

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"skein/agent/api/types"
	"skein/cmd/skein/lab"
)

// TestE2EACopiedDisk starts a copy of a voter's data folder on another machine.
func TestE2EACopiedDisk(t *testing.T) {
	f := newFleet(t, lab.UpOptions{Zones: []string{"a", "b", "c"}})
	image, err := f.lab.PushWeb(f.Context())
	f.must(err)
	f.image = image
	f.awaitReady("h1", 3, 3)
	f.create("h1", "web", f.register("h1", "web", nil), 3)
	f.awaitHealthy("h1", "web", 3)
	status, err := get[types.Status](f, "h1", "/v1/status")
	f.must(err)
	voter := slices.DeleteFunc([]string{"h1", "h2", "h3"}, func(name string) bool { return name == status.Leader.Name })[0]
	original, err := get[types.Host](f, status.Leader.Name, "/v1/hosts/"+voter)
	f.must(err)
	before := f.tasks("h1", "web")

	spare, err := f.lab.Add(f.Context(), "b")
	f.must(err)
	f.must(f.lab.KillAgent(f.Context(), spare))
	copied := filepath.Join(f.dir, spare, "data")
	f.must(os.RemoveAll(copied))
	f.must(copyFolder(filepath.Join(f.dir, voter, "data"), copied))
	f.must(f.lab.Start(f.Context(), spare))

	said := func() types.Host {
		h, failed := get[types.Host](f, status.Leader.Name, "/v1/hosts/"+voter)
		f.must(failed)
		return h
	}
	f.eventually("the alarm stands", func() (string, bool) {
		h := said()
		return fmt.Sprintf("%+v", h.Clone), h.Clone != nil && h.Addr == original.Addr && h.Clone.Addr != original.Addr
	})
	// The copy asks every few seconds: for so long nothing may move.
	end := time.Now().Add(15 * time.Second)
	f.eventually("15 s have passed", func() (string, bool) {
		if h := said(); h.Session != original.Session || h.State != "ready" || h.Clone == nil {
			t.Fatalf("session %d, state %s, clone %+v; want session %d", h.Session, h.State, h.Clone, original.Session)
		}
		now := f.tasks("h1", "web")
		if len(now) != len(before) || slices.ContainsFunc(now, func(n types.Task) bool {
			return !slices.ContainsFunc(before, func(b types.Task) bool { return b.ID == n.ID && n.Last == "RUNNING" })
		}) {
			t.Fatalf("tasks %+v, were %+v", now, before)
		}
		return "", time.Now().After(end)
	})
	events, err := get[types.Events](f, "h1", "/v1/events?limit=200")
	f.must(err)
	alarms := slices.DeleteFunc(events.Events, func(e types.Event) bool { return e.Code != "host-cloned" })
	if len(alarms) != 1 {
		t.Errorf("%d alarms, want one that stands: %+v", len(alarms), alarms)
	}
	var log strings.Builder
	f.must(f.lab.Logs(f.Context(), &log, spare, lab.LogOptions{Lines: 1000}))
	if !strings.Contains(log.String(), "The log here does not vote") {
		t.Errorf("the copy of a voter does not say that it does not vote:\n%s", log.String())
	}
	after, err := get[types.Status](f, "h1", "/v1/status")
	f.must(err)
	if after.Leader == nil || after.Leader.Name != status.Leader.Name {
		t.Errorf("%+v leads, want %s", after.Leader, status.Leader.Name)
	}
	if notes := strings.Join(after.Notes, " "); !strings.Contains(notes, original.Addr) ||
		!strings.Contains(notes, said().Clone.Addr) {
		t.Errorf("status notes %q, want both addresses", notes)
	}
}

// copyFolder copies a folder that is being written to, as an image of a disk would;
// sockets and what goes meanwhile stay out.
func copyFolder(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		name := filepath.Join(to, strings.TrimPrefix(path, from))
		if d.IsDir() {
			return os.MkdirAll(name, 0o700)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return errors.Join(err, os.WriteFile(name, text, 0o600))
	})
}

// TestE2EAWipedVoterComesBackUnderItsName has one of three hosts lose its disk.
func TestE2EAWipedVoterComesBackUnderItsName(t *testing.T) {
	f := newFleet(t, lab.UpOptions{})
	f.awaitReady("h1", 3, 3)
	f.must(f.lab.Kill(f.Context(), "h3"))
	f.must(os.RemoveAll(filepath.Join(f.dir, "h3", "data")))
	f.must(os.MkdirAll(filepath.Join(f.dir, "h3", "data"), 0o700))
	f.eventually("h3 is silent", func() (string, bool) {
		h, err := get[types.Host](f, "h1", "/v1/hosts/h3")
		return fmt.Sprintf("%s %v", h.State, err), err == nil && h.State == "silent"
	})
	old, err := get[types.Host](f, "h1", "/v1/hosts/h3")
	f.must(err)
	f.must(f.at("h2").Send(f.Context(), http.MethodPost, hostPath("h3", "forget"), types.ForceBody{}, nil))

	f.must(f.lab.Start(f.Context(), "h3"))
	var token types.TokenMade
	f.must(f.at("h2").Send(f.Context(), http.MethodPost, "/v1/tokens", types.TokenBody{Kind: "join"}, &token))
	h1, err := get[types.Host](f, "h1", "/v1/hosts/h1")
	f.must(err)
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	f.must(err)
	defer out.Close()
	config := filepath.Join(f.dir, "h3", "etc", "agent.toml")
	exit, err := f.lab.Exec(f.Context(), "h3", []string{os.Getenv("SKEIN_BINARY"), "join", h1.Addr, token.Token,
		"--config", config}, nil, out, out)
	f.must(err)
	if text, _ := os.ReadFile(out.Name()); exit != 0 {
		t.Fatalf("join ended with %d: %s", exit, text)
	}
	f.awaitReady("h1", 3, 3)
	f.eventually("h3 votes again, as a new host", func() (string, bool) {
		h, err := get[types.Host](f, "h1", "/v1/hosts/h3")
		return fmt.Sprintf("%+v %v", h, err), err == nil && h.ID != old.ID && h.VoterPhase == "voting" && h.State == "ready"
	})
}
