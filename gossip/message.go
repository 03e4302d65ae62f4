package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// format is the first byte of metadata, broadcasts and push/pull state. Bytes of
// a higher format come from a newer agent and are left alone, never guessed at.
const format = 1

// Sizes. A broadcast must fit a UDP packet of 1,400 bytes with memberlist's and
// the cipher's overhead, metadata memberlist's 512.
const (
	maxMetaBytes   = 512
	maxReportBytes = 1024
	maxShortText   = 64
	maxLongText    = 128
	// maxReports is twice the fleet size Skein is designed for.
	maxReports = 20_000
	// maxStateBytes is three times the usual reports (115 bytes each) of 10,000 hosts.
	maxStateBytes = 4 << 20
)

var (
	errFormat = errors.New("unreadable gossip message")
	// errNewer says that a newer agent wrote this: skip it, it is no fault.
	errNewer = errors.New("gossip message of a newer format")
)

// meta is a member's metadata.
type meta struct {
	Host    fleet.HostID   `cbor:"1,keyasint"`
	Name    string         `cbor:"2,keyasint"`
	Zone    string         `cbor:"3,keyasint"`
	Role    string         `cbor:"4,keyasint,omitempty"`
	Version string         `cbor:"5,keyasint,omitempty"`
	Peer    netip.AddrPort `cbor:"6,keyasint"`
	Status  string         `cbor:"7,keyasint,omitempty"`
}

func encodeMeta(m meta) ([]byte, error) {
	m.Name, m.Zone, m.Role, m.Version = clip(m.Name, maxShortText), clip(m.Zone, maxShortText), clip(m.Role, maxShortText),
		clip(m.Version, maxShortText)
	m.Status = clip(m.Status, maxLongText)
	b, err := wire.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode gossip metadata: %w", err)
	}
	if 1+len(b) > maxMetaBytes {
		return nil, fmt.Errorf("encode gossip metadata: %d bytes, at most %d", 1+len(b), maxMetaBytes)
	}
	return append([]byte{format}, b...), nil
}

// decodeMeta returns errNewer with a meta that has nothing but zero values where
// a newer agent wrote it.
func decodeMeta(b []byte) (meta, error) {
	var m meta
	body, err := unwrap(b, maxMetaBytes)
	if err != nil {
		return m, err
	}
	if err := wire.Unmarshal(body, &m); err != nil {
		return meta{}, fmt.Errorf("%w: metadata: %v", errFormat, err)
	}
	return m, nil
}

// encodeReport clips the free texts, so that no report is ever too large to send.
func encodeReport(r fleet.CapacityReport) ([]byte, error) {
	r.Clip()
	b, err := wire.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode capacity report: %w", err)
	}
	if 1+len(b) > maxReportBytes {
		return nil, fmt.Errorf("encode capacity report of %s: %d bytes, at most %d", r.Host, 1+len(b), maxReportBytes)
	}
	return append([]byte{format}, b...), nil
}

func decodeReport(b []byte) (fleet.CapacityReport, error) {
	var r fleet.CapacityReport
	body, err := unwrap(b, maxReportBytes)
	if err != nil {
		return r, err
	}
	if err := wire.Unmarshal(body, &r); err != nil {
		return fleet.CapacityReport{}, fmt.Errorf("%w: capacity report: %v", errFormat, err)
	}
	if r.Host == "" || len(r.Host) > maxShortText {
		return fleet.CapacityReport{}, fmt.Errorf("%w: capacity report: host id of %d bytes", errFormat, len(r.Host))
	}
	return r, nil
}

func unwrap(b []byte, limit int) ([]byte, error) {
	switch {
	case len(b) < 2:
		return nil, fmt.Errorf("%w: %d bytes", errFormat, len(b))
	case len(b) > limit:
		return nil, fmt.Errorf("%w: %d bytes, at most %d", errFormat, len(b), limit)
	case b[0] > format:
		return nil, errNewer
	case b[0] != format:
		return nil, fmt.Errorf("%w: format %d", errFormat, b[0])
	}
	return b[1:], nil
}

// appendState appends one encoded report to push/pull state: two bytes of
// length, then the report as it was broadcast.
func appendState(state, report []byte) []byte {
	state = binary.BigEndian.AppendUint16(state, uint16(len(report)))
	return append(state, report...)
}

// splitState yields the encoded reports of a push/pull. The error says how the
// rest was unreadable; reports before it are good.
func splitState(state []byte, yield func(report []byte)) error {
	if len(state) > maxStateBytes {
		return fmt.Errorf("%w: push/pull state of %d bytes, at most %d", errFormat, len(state), maxStateBytes)
	}
	for n := 0; len(state) > 0; n++ {
		if n == maxReports {
			return fmt.Errorf("%w: push/pull state has more than %d reports", errFormat, maxReports)
		}
		if len(state) < 2 {
			return fmt.Errorf("%w: push/pull state is cut short", errFormat)
		}
		size := int(binary.BigEndian.Uint16(state))
		state = state[2:]
		if size > maxReportBytes || size > len(state) {
			return fmt.Errorf("%w: push/pull report of %d bytes", errFormat, size)
		}
		yield(state[:size])
		state = state[size:]
	}
	return nil
}

// clip cuts text to at most limit bytes at a rune's edge and drops what is not
// UTF-8, which CBOR would refuse.
func clip(text string, limit int) string {
	text = strings.ToValidUTF8(text, "")
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
