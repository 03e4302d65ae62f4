package trust

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"

	"skein/raftfsm/fleet"
)

// Secret is bytes that must not be printed: every way of formatting it shows
// only that there is one.
type Secret []byte

const redacted = "(secret)"

func (Secret) String() string       { return redacted }
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format keeps verbs like %x from printing the bytes.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalJSON keeps JSON from carrying the bytes; the codec of peers sends them
// as bytes.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// NewHostID makes a host's identity from chance; nil means the system's.
func NewHostID(chance io.Reader) (fleet.HostID, error) {
	id, err := newID(chance, "h-")
	return fleet.HostID(id), err
}

func newID(chance io.Reader, prefix string) (string, error) {
	raw, err := randomBytes(chance, 8)
	if err != nil {
		return "", err
	}
	return prefix + hex.EncodeToString(raw), nil
}

func randomBytes(chance io.Reader, n int) ([]byte, error) {
	if chance == nil {
		chance = rand.Reader
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(chance, b); err != nil {
		return nil, fmt.Errorf("read random bytes: %w", err)
	}
	return b, nil
}

// validID holds for fleet, host and token ids: short, and free of the
// characters that separate parts of tokens, RaftIDs, URIs and file names.
func validID(id string) bool {
	if id == "" || len(id) > maxIDLen {
		return false
	}
	for i := 0; i < len(id); i++ {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
