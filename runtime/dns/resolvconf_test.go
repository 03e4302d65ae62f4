package dns

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var server = netip.MustParseAddr("198.19.0.1")

func TestTasksKeepWhatTheHostsResolvConfSays(t *testing.T) {
	for sentence, c := range map[string]struct{ host, want string }{
		"search domains and options stay": {
			"# a host\nnameserver 10.0.0.53\nsearch corp.example example.org\noptions ndots:2 edns0\n",
			"nameserver 198.19.0.1\nsearch connect.skein corp.example example.org\n" +
				"options ndots:2 edns0 timeout:3 attempts:4\n"},
		"times that the host has set count": {
			"options timeout:1 attempts:9\n", "nameserver 198.19.0.1\nsearch connect.skein\noptions timeout:1 attempts:9\n"},
		"the last search or domain counts": {
			"search a.example\ndomain b.example ; mine\n",
			"nameserver 198.19.0.1\nsearch connect.skein b.example\noptions timeout:3 attempts:4\n"},
		"a search of the root is left out, for which some clients fail": {
			"search .\noptions ndots:2\n",
			"nameserver 198.19.0.1\nsearch connect.skein\noptions ndots:2 timeout:3 attempts:4\n"},
		"the root among search domains is left out": {
			"search a.example . b.example\n",
			"nameserver 198.19.0.1\nsearch connect.skein a.example b.example\noptions timeout:3 attempts:4\n"},
		"nothing at all": {"", "nameserver 198.19.0.1\nsearch connect.skein\noptions timeout:3 attempts:4\n"},
	} {
		t.Run(sentence, func(t *testing.T) {
			_, got, _ := strings.Cut(string(ReadResolvers([]byte(c.host)).ForTasks(server)), "\n")
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestResolversAreReadAsResolversReadThem(t *testing.T) {
	got := ReadResolvers([]byte("nameserver 10.0.0.53\n nameserver fe80::1%eth0 # link\nnameserver x\nnameserver\n" +
		"nameserver ::ffff:10.0.0.54\nsortlist 1.2.3.4\n;nameserver 9.9.9.9\n"))
	want := []netip.Addr{netip.MustParseAddr("10.0.0.53"), netip.MustParseAddr("fe80::1%eth0"),
		netip.MustParseAddr("10.0.0.54")}
	if !cmp.Equal(got.Servers, want, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })) {
		t.Errorf("servers %v", got.Servers)
	}
	if r := ReadResolvers(bytes.Repeat([]byte("nameserver 10.0.0.53\n"), 10_000)); len(r.Servers) > 0 {
		t.Errorf("%d servers of a file that is none", len(r.Servers))
	}
}
