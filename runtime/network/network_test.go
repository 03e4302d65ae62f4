package network

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/nftables"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

func bare() *Network {
	config, err := Config{Subnet: netip.MustParsePrefix("10.7.0.0/28")}.withDefaults()
	if err != nil {
		panic(err)
	}
	return &Network{config: config, tasks: map[fleet.TaskID]*entry{}, owner: map[portKey]fleet.TaskID{}}
}

func TestAddressesOfASubnet(t *testing.T) {
	n := bare()
	seen := map[netip.Addr]bool{}
	for i := range 13 { // 16 less network, gateway and broadcast
		addr, err := n.allocate(fleet.TaskID(fmt.Sprint("task-", i)))
		if err != nil {
			t.Fatalf("address %d: %v", i, err)
		}
		if seen[addr] || !n.config.Subnet.Contains(addr) || addr == n.gateway().Addr() ||
			addr == netip.MustParseAddr("10.7.0.15") || addr == netip.MustParseAddr("10.7.0.0") {
			t.Errorf("address %d: %s", i, addr)
		}
		seen[addr] = true
		n.tasks[fleet.TaskID(fmt.Sprint("task-", i))] = &entry{addr: addr}
	}
	if addr, err := n.allocate("one-more"); err == nil || !strings.Contains(err.Error(), "no free address") {
		t.Errorf("a full subnet gave %s, %v", addr, err)
	}
}

func TestTheSameTaskGetsTheSameAddressWhenFree(t *testing.T) {
	first, _ := bare().allocate("web")
	second, _ := bare().allocate("web")
	if first != second {
		t.Errorf("%s, then %s", first, second)
	}
}

func TestLinksNameTheirTask(t *testing.T) {
	task := fleet.TaskID(strings.Repeat("0f", 16))
	if name := linkName(task); len(name) > maxBridgeName || !strings.HasPrefix(name, linkPrefix) ||
		name == linkName("other") {
		t.Errorf("link name %q", name)
	}
	addr := netip.MustParseAddr("10.7.0.9")
	gotTask, gotAddr, ok := parseAlias(alias(task, addr))
	if !ok || gotTask != task || gotAddr != addr {
		t.Errorf("alias reads %q, %s, %v", gotTask, gotAddr, ok)
	}
	for _, text := range []string{"", "someone's link", aliasPrefix, aliasPrefix + "a", aliasPrefix + "a addr=",
		aliasPrefix + "a addr=::1", aliasPrefix + " addr=10.0.0.1"} {
		if task, addr, ok := parseAlias(text); ok {
			t.Errorf("alias %q reads %q, %s", text, task, addr)
		}
	}
}

func FuzzAlias(f *testing.F) {
	f.Add("skein task=a addr=10.0.0.1")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		task, addr, ok := parseAlias(text)
		if ok && (task == "" || !addr.Is4()) {
			t.Errorf("%q reads %q, %s", text, task, addr)
		}
	})
}

func TestElementsOfTheMapAreReadAsTheyWereWritten(t *testing.T) {
	for _, m := range []mapping{
		{portKey{fleet.TCP, 80}, "a", netip.MustParseAddrPort("10.7.0.2:8080")},
		{portKey{fleet.UDP, 65535}, fleet.TaskID(strings.Repeat("f", 32)), netip.MustParseAddrPort("10.7.0.3:53")},
	} {
		if got, ok := decode(encode(m)); !ok || got != m {
			t.Errorf("wrote %+v, read %+v, %v", m, got, ok)
		}
	}
	for name, e := range map[string]nftables.SetElement{
		"short key":        {Key: []byte{6}, Val: make([]byte, 8), Comment: "a"},
		"no value":         {Key: make([]byte, 8), Comment: "a"},
		"no task":          {Key: []byte{6, 0, 0, 0, 0, 80, 0, 0}, Val: make([]byte, 8)},
		"another protocol": {Key: []byte{132, 0, 0, 0, 0, 80, 0, 0}, Val: make([]byte, 8), Comment: "a"},
	} {
		if got, ok := decode(e); ok {
			t.Errorf("%s: read %+v", name, got)
		}
	}
}

func TestPortMapsAreTakenUpFromTheKernel(t *testing.T) {
	here, gone := netip.MustParseAddr("10.7.0.2"), netip.MustParseAddr("10.7.0.3")
	found := []mapping{
		{portKey{fleet.TCP, 80}, "here", netip.AddrPortFrom(here, 1)},
		{portKey{fleet.TCP, 81}, "gone", netip.AddrPortFrom(gone, 1)},
		{portKey{fleet.TCP, 82}, "here", netip.AddrPortFrom(gone, 1)},
	}
	t.Run("of a task whose link is there, at its address", func(t *testing.T) {
		n := bare()
		n.tasks["here"] = &entry{addr: here}
		n.adopt(found, true)
		if len(n.mappings()) != 1 || n.owner[portKey{fleet.TCP, 80}] != "here" {
			t.Errorf("took up %+v", n.mappings())
		}
	})
	t.Run("and of any task when the list of links was interrupted", func(t *testing.T) {
		n := bare()
		n.tasks["here"] = &entry{addr: here}
		n.adopt(found, false)
		if len(n.mappings()) != 2 || n.owner[portKey{fleet.TCP, 81}] != "gone" {
			t.Errorf("took up %+v", n.mappings())
		}
	})
}

func TestPortsThatCannotBeMapped(t *testing.T) {
	ok := fleet.PortBinding{Container: "main", ContainerPort: 80, HostPort: 8080, Protocol: fleet.TCP}
	udp := ok
	udp.Protocol = fleet.UDP
	if err := checkPorts([]fleet.PortBinding{ok, udp}, nil); err != nil {
		t.Errorf("one number for both protocols: %v", err)
	}
	cases := map[string]func(*fleet.PortBinding){
		"host port 0":          func(b *fleet.PortBinding) { b.HostPort = 0 },
		"container port 70000": func(b *fleet.PortBinding) { b.ContainerPort = 70000 },
		"reserved":             func(b *fleet.PortBinding) { b.HostPort = 22 },
		"protocol(0)":          func(b *fleet.PortBinding) { b.Protocol = 0 },
	}
	for want, change := range cases {
		b := ok
		change(&b)
		if err := checkPorts([]fleet.PortBinding{b}, []int{22}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if err := checkPorts(make([]fleet.PortBinding, maxPorts+1), nil); err == nil {
		t.Error("more ports than the limit were accepted")
	}
}

func TestConfigThatCannotWork(t *testing.T) {
	for want, c := range map[string]Config{
		"at most 15":         {Bridge: "a-very-long-bridge-name"},
		"from /12 to /29":    {Subnet: netip.MustParsePrefix("10.0.0.0/31")},
		"want an IPv4":       {Subnet: netip.MustParsePrefix("fd00::/64")},
		"from /12 to /29 ":   {Subnet: netip.MustParsePrefix("10.0.0.0/8")},
		"skein0, no problem": {},
	} {
		_, err := c.withDefaults()
		if strings.HasSuffix(want, "no problem") {
			if err != nil {
				t.Errorf("the default is refused: %v", err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
			t.Errorf("%+v: want %q, got %v", c, want, err)
		}
	}
}

func TestModesThatAreNotKnownAreRefused(t *testing.T) {
	if _, err := bare().Setup(t.Context(), port.NetworkSpec{Task: "a"}); err == nil {
		t.Error("the zero mode was accepted")
	}
	if _, err := bare().Setup(t.Context(), port.NetworkSpec{Mode: fleet.NetworkNone}); err == nil {
		t.Error("an empty task id was accepted")
	}
}
