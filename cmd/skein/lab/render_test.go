package lab

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"skein/cmd/skein/config"
)

const wantAgent = `name = 'h2'
zone = 'b'
data_dir = '/labs/demo/h2/data'
peer_listen = '10.213.1.12:7700'
gossip_listen = '10.213.1.12:7701'
status_listen = '10.213.1.12:7702'
socket = '/run/skein/agent.sock'
operator_token_file = '/labs/demo/h2/etc/operator.token'
log_level = 'info'

[containerd]
address = '/run/containerd/containerd.sock'
namespace = 'skein'

[cgroup]
parent = '/skein'

[registry]
plain_http = ['10.213.1.1:5000']
`

func renderedAgent(t *testing.T, addr, registry string) string {
	t.Helper()
	host := &Host{Name: "h2", Zone: "b", Addr: netip.MustParseAddr(addr)}
	b, err := renderAgent(host, foldersOf("/labs/demo", "h2"), netip.MustParseAddrPort(registry))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTheAgentsConfiguration(t *testing.T) {
	if diff := cmp.Diff(wantAgent, renderedAgent(t, "10.213.1.12", "10.213.1.1:5000")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A lab host starts from the same TOML as a real one: the real reader takes it.
func TestTheAgentTakesItsConfiguration(t *testing.T) {
	for _, text := range []string{
		renderedAgent(t, "10.213.1.12", "10.213.1.1:5000"), renderedAgent(t, "fd53:6be1::c", "[fd53:6be1::1]:5000"),
	} {
		if _, err := config.Parse("agent.toml", []byte(text)); err != nil {
			t.Errorf("%v in\n%s", err, text)
		}
		for line := range strings.Lines(text) {
			key, _, ok := strings.Cut(line, " = ")
			if ok && !slices.ContainsFunc(config.Keys(),
				func(k string) bool { return k == key || strings.HasSuffix(k, "."+key) }) {
				t.Errorf("key %q is not one of the agent's", key)
			}
		}
	}
}

func TestTheRuntimesConfiguration(t *testing.T) {
	b, err := renderContainerd(foldersOf("/labs/demo", "h2"))
	if err != nil {
		t.Fatal(err)
	}
	var got containerdConfig
	if err := toml.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	want := containerdConfig{
		Version: 2, Root: "/labs/demo/h2/containerd", State: "/run/containerd",
		DisabledPlugins: unneededPlugins, GRPC: containerdGRPC{Address: "/run/containerd/containerd.sock"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, plugin := range unneededPlugins { // 1.6 refuses to start with any other form
		if !strings.HasPrefix(plugin, "io.containerd.") || strings.Count(plugin, ".") < 3 {
			t.Errorf("plugin %q is not a full name", plugin)
		}
	}
}
