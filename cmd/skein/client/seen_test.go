package client

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"skein/agent/api/types"
)

// fleetServer answers writes with an index of a fleet and remembers what the
// last read asked for.
func fleetServer(t *testing.T, fleet, index string) (endpoint Endpoint, asked func() string) {
	t.Helper()
	var mu sync.Mutex
	var last string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodGet {
			last = r.Header.Get(types.HeaderIndex)
		} else {
			w.Header().Set(types.HeaderIndex, index)
			w.Header().Set(types.HeaderFleet, fleet)
		}
		_, _ = w.Write([]byte(`{}`))
	}))
	t.Cleanup(server.Close)
	return Endpoint{URL: server.URL}, func() string {
		mu.Lock()
		defer mu.Unlock()
		return last
	}
}

func write(t *testing.T, e Endpoint) {
	t.Helper()
	if err := New(e, "").Send(t.Context(), http.MethodPost, "/v1/hosts/h3/cordon", nil, nil); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, e Endpoint) {
	t.Helper()
	if _, err := New(e, "").Get(t.Context(), "/v1/hosts", nil); err != nil {
		t.Fatal(err)
	}
}

// Each New is another process here: nothing but the files is shared.
func TestAReadAsksForTheLastWriteOfAnotherProcess(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	older, _ := fleetServer(t, "f-1", "7")
	newer, _ := fleetServer(t, "f-1", "12")
	other, _ := fleetServer(t, "f-2", "3")
	any, asked := fleetServer(t, "f-1", "0")
	read(t, any)
	if asked() != "" {
		t.Errorf("nothing was written, and %q is asked for", asked())
	}
	write(t, newer)
	write(t, older)
	write(t, other)
	read(t, any)
	if asked() != "f-1=12,f-2=3" {
		t.Errorf("asked for %q", asked())
	}
}

func TestNoCommandFailsForWhatItCannotRemember(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "a file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(t *testing.T, dir string){
		"no folder anywhere": func(t *testing.T, _ string) {
			t.Setenv("XDG_RUNTIME_DIR", "")
			t.Setenv("XDG_CACHE_HOME", "")
			t.Setenv("HOME", "")
		},
		"a file in its way": func(t *testing.T, dir string) { os.WriteFile(filepath.Join(dir, "skein"), nil, 0o600) },
		"a link in its way": func(t *testing.T, dir string) { os.Symlink(t.TempDir(), filepath.Join(dir, "skein")) },
		"a folder in the file's way": func(t *testing.T, dir string) {
			os.MkdirAll(filepath.Join(dir, "skein", "f-1", "x"), 0o700)
		},
		"a damaged file": func(t *testing.T, dir string) {
			os.MkdirAll(filepath.Join(dir, "skein"), 0o700)
			os.WriteFile(filepath.Join(dir, "skein", "f-3"), []byte("x=1\r\nX-Evil: 1"), 0o600)
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("XDG_RUNTIME_DIR", dir)
			prepare(t, dir)
			endpoint, asked := fleetServer(t, "f-1", "7")
			c := New(endpoint, "")
			if err := c.Send(t.Context(), http.MethodPost, "/v1/hosts/h3/cordon", nil, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Get(t.Context(), "/v1/hosts", nil); err != nil {
				t.Fatal(err)
			}
			if asked() != "f-1=7" {
				t.Errorf("the process itself asks for %q", asked())
			}
		})
	}
}

func TestWhatAServerSaysIsNoPath(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	for _, fleet := range []string{"../../evil", ".", "", "f 1", "f=1"} {
		endpoint, _ := fleetServer(t, fleet, "7")
		write(t, endpoint)
	}
	if entries, _ := os.ReadDir(filepath.Join(dir, "skein")); len(entries) > 0 {
		t.Errorf("files were made: %v", entries)
	}
}

func TestAnOldWriteIsForgotten(t *testing.T) {
	s := newSeen(filepath.Join(t.TempDir(), "skein"))
	s.wrote(http.Header{types.HeaderFleet: {"f-1"}, types.HeaderIndex: {"7"}})
	later := newSeen(s.dir)
	if later.header() != "f-1=7" {
		t.Fatalf("kept %q", later.header())
	}
	later.now = func() time.Time { return time.Now().Add(seenFor + time.Second) }
	if later.header() != "" {
		t.Errorf("still asks for %q", later.header())
	}
	if entries, _ := os.ReadDir(s.dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}
