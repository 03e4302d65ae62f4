package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
)

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

func TestPickSubnet(t *testing.T) {
	cases := []struct {
		name  string
		taken []netip.Prefix
		pool  string
	}{
		{"nothing taken gives the first pool", nil, "10.213.0.0/16"},
		{"a default route hinders nothing", prefixes("0.0.0.0/0", "::/0"), "10.213.0.0/16"},
		{"an unrelated network hinders nothing", prefixes("192.0.2.0/24", "fd00::/64"), "10.213.0.0/16"},
		{"half of the pool taken leaves the other half", prefixes("10.213.0.0/17"), "10.213.128.0/17"},
		{"a wide route over the first pool leads to the second", prefixes("10.0.0.0/8"), "172.29.0.0/16"},
		{"all private networks routed lead to the last", prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
			"198.18.0.0/16"},
	}
	for _, c := range cases {
		for _, lab := range []string{"demo", "a", "t123456"} {
			got, err := pickSubnet(lab, c.taken, false)
			if err != nil {
				t.Errorf("%s: lab %s: %v", c.name, lab, err)
				continue
			}
			if got.Bits() != 24 || got != got.Masked() || !netip.MustParsePrefix(c.pool).Contains(got.Addr()) {
				t.Errorf("%s: lab %s: got %s, want a /24 of %s", c.name, lab, got, c.pool)
			}
		}
	}
}

func TestPickSubnetGivesEachLabItsOwnAndSaysWhenThereIsNone(t *testing.T) {
	var taken []netip.Prefix
	for i := range 300 { // more than the first pool has
		got, err := pickSubnet(fmt.Sprintf("l%d", i), taken, false)
		if err != nil {
			t.Fatalf("lab %d: %v", i, err)
		}
		if overlapsAny(got, taken) {
			t.Fatalf("lab %d got %s, which is taken", i, got)
		}
		taken = append(taken, got)
	}
	if _, err := pickSubnet("more", pools, false); !errors.Is(err, errNoSubnet) {
		t.Errorf("all taken: got %v, want errNoSubnet", err)
	}
}

func TestPickSubnetOfIPv6IsUniqueLocal(t *testing.T) {
	first, err := pickSubnet("demo", nil, true)
	if err != nil {
		t.Fatal(err)
	}
	if !netip.MustParsePrefix("fd00::/8").Contains(first.Addr()) || first.Bits() != 64 {
		t.Errorf("got %s", first)
	}
	second, err := pickSubnet("demo", []netip.Prefix{first}, true)
	if err != nil || second == first {
		t.Errorf("with %s taken: got %s, %v", first, second, err)
	}
}

func TestEveryHostHasAnAddressAndAMACOfItsOwn(t *testing.T) {
	for _, subnet := range prefixes("10.213.7.0/24", "fd53:6be1:1:2::/64") {
		seen := map[string]bool{hubAddress(subnet).String(): true}
		for n := 1; n <= maxHosts; n++ {
			addr := hostAddress(subnet, n)
			if !subnet.Contains(addr) || seen[addr.String()] || addr == addressAt(subnet, 255) {
				t.Fatalf("host %d of %s: address %s", n, subnet, addr)
			}
			seen[addr.String()] = true
		}
	}
	macs := map[string]bool{}
	for n := range maxHosts + 1 {
		mac := hardwareAddress("demo", n)
		if mac[0]&1 != 0 || mac[0]&2 == 0 || macs[mac.String()] {
			t.Fatalf("host %d: hardware address %s", n, mac)
		}
		macs[mac.String()] = true
	}
}

func TestTheEntryAddressIsNoHosts(t *testing.T) {
	for subnet, want := range map[string]string{
		"10.213.7.0/24": "10.213.7.5/24", "fd53:6be1:1:2::/64": "fd53:6be1:1:2::5/64",
	} {
		prefix := netip.MustParsePrefix(subnet)
		got := EntryAddress(prefix)
		if got.String() != want || got.Addr() == hubAddress(prefix) {
			t.Errorf("of %s: %s, want %s", subnet, got, want)
		}
	}
}
