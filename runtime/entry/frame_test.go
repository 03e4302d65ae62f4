package entry

import (
	"net/netip"
	"testing"
)

var (
	us       = mac{2, 0, 0, 0, 0, 1}
	neighbor = mac{2, 0, 0, 0, 0, 2}
	entry4   = netip.MustParseAddr("10.9.0.100")
	entry6   = netip.MustParseAddr("fd00:9::100")
	client4  = netip.MustParseAddr("10.9.0.7")
	client6  = netip.MustParseAddr("fd00:9::7")
)

func TestFramesSayWhoHasAndWhoLooksForAnAddress(t *testing.T) {
	fromUs := heard{from: us, claimed: client4}
	for name, c := range map[string]struct {
		frame []byte
		want  heard
	}{
		"an ARP probe claims nothing":      {probe(neighbor, entry4), heard{from: neighbor, asked: entry4}},
		"an ARP announcement asks nothing": {announce(neighbor, entry4), heard{from: neighbor, claimed: entry4}},
		"an ARP request claims and asks": {arp(neighbor, broadcast, arpRequest, client4, mac{}, entry4),
			heard{neighbor, client4, entry4}},
		"an ARP reply claims": {answer(neighbor, entry4, fromUs), heard{from: neighbor, claimed: entry4}},
		"an ARP reply to a probe claims": {answer(neighbor, entry4, heard{from: us, asked: entry4}),
			heard{from: neighbor, claimed: entry4}},
		"a solicitation from nowhere is a probe": {probe(neighbor, entry6), heard{from: neighbor, asked: entry6}},
		"a solicitation claims and asks": {
			ndp(neighbor, groupMAC(solicitedNode(entry6)), client6, solicitedNode(entry6), neighborAsk, 0, entry6),
			heard{neighbor, client6, entry6}},
		"an unsolicited advertisement claims": {announce(neighbor, entry6), heard{from: neighbor, claimed: entry6}},
		"a solicited advertisement claims": {answer(neighbor, entry6, heard{us, client6, entry6}),
			heard{from: neighbor, claimed: entry6}},
		"a probe of IPv6 is answered to all": {answer(neighbor, entry6, heard{from: us, asked: entry6}),
			heard{from: neighbor, claimed: entry6}},
	} {
		got, ok := parse(c.frame)
		if !ok || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, ok, c.want)
		}
	}
}

func TestFramesThatNobodyMayBelieveAreRefused(t *testing.T) {
	change := func(frame []byte, at int, to byte) []byte {
		frame[at] = to
		return frame
	}
	for name, frame := range map[string][]byte{
		"nothing":                                nil,
		"half of an ARP packet":                  probe(us, entry4)[:30],
		"ARP of another kind of network":         change(probe(us, entry4), etherLen+1, 6),
		"ARP of an unknown kind":                 change(probe(us, entry4), etherLen+7, 3),
		"ARP from a group address":               change(probe(us, entry4), arpSenderMAC, 1),
		"ARP that says nothing":                  arp(us, broadcast, arpReply, netip.IPv4Unspecified(), us, entry4),
		"half of an advertisement":               announce(us, entry6)[:60],
		"an advertisement that a router passed":  change(announce(us, entry6), ipv6Hops, 254),
		"an advertisement with a wrong sum":      change(announce(us, entry6), icmpTarget+15, 1),
		"an advertisement longer than its frame": change(announce(us, entry6), etherLen+5, 200),
		"an echo":                                change(announce(us, entry6), icmp, 128),
		"another protocol":                       change(announce(us, entry6), 13, 0),
	} {
		if got, ok := parse(frame); ok {
			t.Errorf("%s is believed: %+v", name, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(probe(us, entry4))
	f.Add(announce(us, entry4))
	f.Add(probe(us, entry6))
	f.Add(answer(us, entry6, heard{neighbor, client6, entry6}))
	f.Fuzz(func(t *testing.T, frame []byte) {
		h, ok := parse(frame)
		if !ok {
			return
		}
		if !h.from.unicast() || !h.claimed.IsValid() && !h.asked.IsValid() {
			t.Fatalf("believed: %+v", h)
		}
		if !h.asked.IsValid() {
			return
		}
		got, ok := parse(answer(us, h.asked, h))
		if !ok || got.from != us || got.claimed != h.asked || got.asked.IsValid() {
			t.Fatalf("the answer to %+v is read as %+v, %v", h, got, ok)
		}
	})
}
