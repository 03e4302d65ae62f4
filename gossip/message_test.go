package gossip

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"skein/raftfsm/fleet"
)

func TestMetadataWithTheLongestTextsFits(t *testing.T) {
	long := strings.Repeat("x", 1000)
	b, err := encodeMeta(meta{
		Host: "h-0123456789abcdef", Name: long, Zone: long, Role: long, Version: long, Status: long,
		Peer: netip.MustParseAddrPort("[fd00:1234:5678:9abc:def0:1234:5678:9abc]:65535"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > maxMetaBytes {
		t.Errorf("metadata has %d bytes, memberlist keeps %d", len(b), maxMetaBytes)
	}
	m, err := decodeMeta(b)
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != long[:maxShortText] || m.Status != long[:maxLongText] {
		t.Errorf("texts were not clipped as stated: %+v", m)
	}
}

func TestTheLargestReportFits(t *testing.T) {
	long := strings.Repeat("ü", 1000)
	huge := int64(1) << 62
	big := fleet.Resources{CPU: huge, Memory: huge}
	r := fleet.CapacityReport{
		Host: "h-0123456789abcdef", Nonce: 1 << 63, Seq: 1 << 63, Boot: long, At: fleet.Time(huge), Capacity: big,
		Reserved: big, Used: big,
		PortsUsed: 65535, TasksRunning: 1 << 30, TasksPending: 1 << 30,
		Pressure: fleet.Pressure{CPU: 100, Memory: 100, IO: -1},
		Starved:  true, Protected: long, OSImage: long, Version: long, Voter: true, DiskFreeMiB: huge, Runtime: long,
	}
	b, err := encodeReport(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeReport(b)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("largest report: %d bytes", len(b))
	if !utf8.ValidString(got.Runtime) || len(got.Runtime) > fleet.MaxReportLongText {
		t.Errorf("text was cut badly: %q", got.Runtime)
	}
	r.Boot, r.OSImage, r.Version, r.Protected, r.Runtime = got.Boot, got.OSImage, got.Version, got.Protected, got.Runtime
	if diff := cmp.Diff(r, got); diff != "" {
		t.Errorf("report changed on its way (-sent +got):\n%s", diff)
	}
}

func TestUnreadableMessagesAreRefused(t *testing.T) {
	good, err := encodeReport(fleet.CapacityReport{Host: "h-1", Nonce: 1})
	if err != nil {
		t.Fatal(err)
	}
	nobody, err := encodeReport(fleet.CapacityReport{Nonce: 1})
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name string
		b    []byte
		want error
	}{
		{"empty", nil, errFormat},
		{"one byte", []byte{format}, errFormat},
		{"format zero", append([]byte{0}, good[1:]...), errFormat},
		{"a newer format", append([]byte{format + 1}, good[1:]...), errNewer},
		{"cut short", good[:len(good)-1], errFormat},
		{"trailing bytes", append(good[:len(good):len(good)], 0), errFormat},
		{"an unknown field twice", []byte{format, 0xa2, 0x18, 0x63, 0x01, 0x18, 0x63, 0x01}, errFormat},
		{"a wrong type", []byte{format, 0xa1, 0x01, 0x01}, errFormat},
		{"larger than the limit", append([]byte{format}, make([]byte, maxReportBytes)...), errFormat},
		{"without a host", nobody, errFormat},
	}
	for _, c := range cases {
		if _, err := decodeReport(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

// withField adds a field of a newer agent, number 99, to an encoded message.
func withField(message []byte) []byte {
	out := append([]byte{format, message[1] + 1}, message[2:]...) // one pair more in the map
	return append(out, 0x18, 99, 0x63, 'n', 'e', 'w')
}

func TestMessagesOfANewerAgentAreRead(t *testing.T) {
	report, err := encodeReport(fleet.CapacityReport{Host: "h-1", Nonce: 7})
	if err != nil {
		t.Fatal(err)
	}
	if r, failed := decodeReport(withField(report)); failed != nil || r.Host != "h-1" || r.Nonce != 7 {
		t.Errorf("a report is read as %+v, %v", r, failed)
	}
	member, err := encodeMeta(meta{Host: "h-1", Name: "one", Zone: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := decodeMeta(withField(member)); err != nil || m.Host != "h-1" || m.Name != "one" || m.Zone != "a" {
		t.Errorf("metadata is read as %+v, %v", m, err)
	}
}

func TestStateKeepsTheGoodReportsBeforeABadOne(t *testing.T) {
	state := appendState(appendState(nil, []byte("one")), []byte("two"))
	for _, tail := range [][]byte{{0}, {0, 9, 1}, {255, 255}} {
		var got []string
		err := splitState(append(state[:len(state):len(state)], tail...), func(b []byte) { got = append(got, string(b)) })
		if !errors.Is(err, errFormat) {
			t.Errorf("tail %v: got %v, want errFormat", tail, err)
		}
		if diff := cmp.Diff([]string{"one", "two"}, got); diff != "" {
			t.Errorf("tail %v:\n%s", tail, diff)
		}
	}
	if err := splitState(make([]byte, maxStateBytes+1), func([]byte) { t.Error("yielded") }); !errors.Is(err, errFormat) {
		t.Errorf("oversize state: got %v", err)
	}
	if err := splitState(make([]byte, 2*(maxReports+1)), func([]byte) {}); !errors.Is(err, errFormat) {
		t.Errorf("too many reports: got %v", err)
	}
}

func FuzzDecodeReport(f *testing.F) {
	b, _ := encodeReport(fleet.CapacityReport{Host: "h-1", Nonce: 3, Seq: 4, Runtime: "containerd 1.6"})
	f.Add(b)
	f.Add([]byte{format, 0xbf, 0xff})
	f.Add([]byte{2, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeReport(b)
		if err != nil {
			return
		}
		again, err := encodeReport(r)
		if err != nil {
			t.Fatalf("a report that was read cannot be written: %v", err)
		}
		if _, err := decodeReport(again); err != nil {
			t.Fatalf("a report that was written cannot be read: %v", err)
		}
	})
}

func FuzzDecodeMeta(f *testing.F) {
	b, _ := encodeMeta(meta{Host: "h-1", Name: "h1", Zone: "a", Peer: netip.MustParseAddrPort("10.0.0.1:7700")})
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := decodeMeta(b); err != nil && m != (meta{}) {
			t.Fatalf("an unreadable metadata gave %+v", m)
		}
	})
}

func FuzzSplitState(f *testing.F) {
	f.Add(appendState(nil, []byte("one")))
	f.Add([]byte{255, 255, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		err := splitState(b, func(report []byte) { total += 2 + len(report) })
		if err == nil && total != len(b) {
			t.Fatalf("%d of %d bytes were read without an error", total, len(b))
		}
	})
}
