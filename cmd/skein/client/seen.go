package client

import (
	"cmp"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"skein/agent/api/types"
)

const (
	// seenFor is how long a write is asked for: agents that lag longer say so by
	// themselves.
	seenFor = 5 * time.Minute
	// maxSeen bounds the fleets that are remembered.
	maxSeen = 8
	// maxFleetID is above the length of any fleet's id.
	maxFleetID = 64
)

// seen remembers the index of the newest write to each fleet, so that a read
// that follows shows it, whichever agent answers and whichever process asks. One
// small file a fleet carries it from process to process. All of it is best
// effort: what cannot be kept is not, and no command fails for it.
type seen struct {
	dir string // empty: nothing is kept on disk
	now func() time.Time

	mu      sync.Mutex
	indices map[string]uint64 // by fleet, of this process
}

func newSeen(dir string) *seen {
	return &seen{dir: dir, now: time.Now, indices: map[string]uint64{}}
}

// seenDir is where the files are: the user's runtime folder, or the cache folder
// where there is none; empty when there is neither.
func seenDir() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) && mine(dir) {
		return filepath.Join(dir, "skein")
	}
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, "skein")
	}
	return ""
}

// mine reports whether a folder is this user's own: root must not write into
// what another user can turn into a link.
func mine(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(owner.Uid) == os.Geteuid()
}

// header is what reads carry: "f-1=1234,f-2=77", or nothing.
func (s *seen) header() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	indices := s.kept()
	for fleet, index := range s.indices {
		indices[fleet] = max(indices[fleet], index)
	}
	parts := make([]string, 0, len(indices))
	for _, fleet := range slices.Sorted(maps.Keys(indices)) {
		parts = append(parts, fleet+"="+strconv.FormatUint(indices[fleet], 10))
	}
	return strings.Join(parts, ",")
}

// wrote takes the index out of a write's answer.
func (s *seen) wrote(answer http.Header) {
	fleet := answer.Get(types.HeaderFleet)
	index, err := strconv.ParseUint(answer.Get(types.HeaderIndex), 10, 64)
	if err != nil || !isFleetID(fleet) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if index <= s.indices[fleet] {
		return
	}
	s.indices[fleet] = index
	if index > s.kept()[fleet] {
		s.keep(fleet, index)
	}
}

// isFleetID takes what is safe as the name of a file and in a header.
func isFleetID(text string) bool {
	other := func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-')
	}
	return text != "" && len(text) <= maxFleetID && !strings.ContainsFunc(text, other)
}

// kept reads the files that are young enough.
func (s *seen) kept() map[string]uint64 {
	indices := map[string]uint64{}
	for _, file := range s.files() {
		text, err := os.ReadFile(filepath.Join(s.dir, file.Name()))
		if err != nil {
			continue
		}
		if index, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil {
			indices[file.Name()] = index
		}
	}
	return indices
}

// files are those of the fleets written to lately. What is old is removed.
func (s *seen) files() (young []fs.FileInfo) {
	if s.dir == "" || !mine(s.dir) {
		return nil
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() > maxFleetID {
			continue
		}
		if s.now().Sub(info.ModTime()) > seenFor {
			_ = os.Remove(filepath.Join(s.dir, entry.Name()))
		} else if isFleetID(entry.Name()) {
			young = append(young, info)
		}
	}
	slices.SortFunc(young, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	return young[:min(len(young), maxSeen)]
}

// keep replaces a fleet's file in one step: a reader finds the former or the new.
func (s *seen) keep(fleet string, index uint64) {
	if s.dir == "" || os.MkdirAll(s.dir, 0o700) != nil || !mine(s.dir) {
		return
	}
	file, err := os.CreateTemp(s.dir, ".new-")
	if err != nil {
		return
	}
	_, err = file.WriteString(strconv.FormatUint(index, 10) + "\n")
	if err = cmp.Or(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), filepath.Join(s.dir, fleet))
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
}
