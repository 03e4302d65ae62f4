package ingress

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock"
	"skein/runtime/seam/vfs"
)

// lookEvery is how often certificate files are looked at, while clients come.
const lookEvery = time.Second

// certificates are those of a listener. Their files are read again when they change; one
// that cannot be read leaves the last that could be in its place.
type certificates struct {
	clock   clock.Clock
	log     *slog.Logger
	current atomic.Pointer[[]*certificate]
	next    atomic.Int64 // when to look again, on the monotonic clock
	mu      sync.Mutex   // of whoever looks
}

type certificate struct {
	files  fleet.CertificateFile
	stamp  [2]stamp
	parsed *tls.Certificate // nil: never read
	failed error
}

// stamp is what shows that a file is another.
type stamp struct {
	size     int64
	modified time.Time
}

func newCertificates(c clock.Clock, log *slog.Logger) *certificates {
	s := &certificates{clock: c, log: log}
	s.current.Store(&[]*certificate{})
	return s
}

// use has these files from now on.
func (s *certificates) use(files []fleet.CertificateFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := *s.current.Load()
	var now []*certificate
	for _, f := range files {
		at := slices.IndexFunc(was, func(c *certificate) bool { return c.files == f })
		if at >= 0 {
			now = append(now, was[at])
		} else {
			now = append(now, &certificate{files: f})
		}
	}
	s.current.Store(&now)
	s.lookLocked()
}

func (s *certificates) look() {
	mono := int64(s.clock.Mono())
	next := s.next.Load()
	if mono < next || !s.next.CompareAndSwap(next, mono+int64(lookEvery)) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lookLocked()
}

// lookLocked replaces what has changed; handshakes read the list without a lock.
func (s *certificates) lookLocked() {
	var now []*certificate
	for _, c := range *s.current.Load() {
		now = append(now, s.read(c))
	}
	s.current.Store(&now)
}

func (s *certificates) read(c *certificate) *certificate {
	stamps := [2]stamp{stampOf(c.files.Certificate), stampOf(c.files.Key)}
	if stamps == c.stamp && (c.parsed != nil || c.failed != nil) {
		return c
	}
	fresh := &certificate{files: c.files, stamp: stamps, parsed: c.parsed}
	pair, err := readPair(c.files)
	if err != nil {
		fresh.failed = fmt.Errorf("certificate %s: %w", c.files.Certificate, err)
		s.log.Error("certificate cannot be read, the last one is kept", "path", c.files.Certificate, "err", err)
		return fresh
	}
	fresh.parsed = &pair
	s.log.Info("certificate read", "path", c.files.Certificate, "until", pair.Leaf.NotAfter)
	return fresh
}

// maxPEM bounds a file of a certificate or a key, in bytes. A chain takes a few KiB.
const maxPEM = 1 << 20

func readPair(files fleet.CertificateFile) (tls.Certificate, error) {
	certificate, err := vfs.ReadRegular(vfs.OS, files.Certificate, maxPEM)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := vfs.ReadRegular(vfs.OS, files.Key, maxPEM)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certificate, key)
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{size: -1}
	}
	return stamp{info.Size(), info.ModTime()}
}

var errNoCertificate = errors.New("no certificate could be read")

// choose is the first that fits the client, else the first there is.
func (s *certificates) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.look()
	var first *tls.Certificate
	for _, c := range *s.current.Load() {
		if c.parsed == nil {
			continue
		}
		if hello.SupportsCertificate(c.parsed) == nil {
			return c.parsed, nil
		}
		if first == nil {
			first = c.parsed
		}
	}
	if first == nil {
		return nil, errNoCertificate
	}
	return first, nil
}

func (s *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: s.choose,
	}
}

// failures name the files that could not be read.
func (s *certificates) failures() (failed []string) {
	for _, c := range *s.current.Load() {
		if c.failed != nil {
			failed = append(failed, c.failed.Error())
		}
	}
	return failed
}
