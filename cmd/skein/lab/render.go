package lab

import (
	"fmt"
	"net/netip"

	"github.com/pelletier/go-toml/v2"
)

// agentConfig is the TOML of a lab host's agent: the same keys as anywhere.
type agentConfig struct {
	Name              string          `toml:"name"`
	Zone              string          `toml:"zone"`
	DataDir           string          `toml:"data_dir"`
	PeerListen        string          `toml:"peer_listen"`
	GossipListen      string          `toml:"gossip_listen"`
	StatusListen      string          `toml:"status_listen"`
	Socket            string          `toml:"socket"`
	OperatorTokenFile string          `toml:"operator_token_file"`
	LogLevel          string          `toml:"log_level"`
	Containerd        agentContainerd `toml:"containerd"`
	Cgroup            agentCgroup     `toml:"cgroup"`
	Registry          agentRegistry   `toml:"registry"`
}

type agentContainerd struct {
	Address   string `toml:"address"`
	Namespace string `toml:"namespace"`
}

type agentCgroup struct {
	Parent string `toml:"parent"`
}

type agentRegistry struct {
	PlainHTTP []string `toml:"plain_http"`
}

func renderAgent(host *Host, folders hostFolders, registry netip.AddrPort) ([]byte, error) {
	at := func(port uint16) string { return netip.AddrPortFrom(host.Addr, port).String() }
	return toml.Marshal(agentConfig{
		Name: host.Name, Zone: host.Zone, DataDir: folders.data,
		PeerListen: at(PeerPort), GossipListen: at(GossipPort), StatusListen: at(StatusPort),
		Socket: AgentSocket, OperatorTokenFile: folders.operatorToken, LogLevel: "info",
		Containerd: agentContainerd{Address: containerdSocket, Namespace: "skein"},
		Cgroup:     agentCgroup{Parent: "/skein"},
		Registry:   agentRegistry{PlainHTTP: []string{registry.String()}},
	})
}

// containerdConfig is in version 2 of the format, which 1.6 and 2.x both read.
type containerdConfig struct {
	Version         int            `toml:"version"`
	Root            string         `toml:"root"`
	State           string         `toml:"state"`
	DisabledPlugins []string       `toml:"disabled_plugins"`
	GRPC            containerdGRPC `toml:"grpc"`
}

type containerdGRPC struct {
	Address string `toml:"address"`
}

// unneededPlugins look for devices, kubelets or tracers that a lab has not.
// Names unknown to a version are ignored by it.
var unneededPlugins = []string{
	"io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime",
	"io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
	"io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs",
	"io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp", "io.containerd.nri.v1.nri",
	"io.containerd.internal.v1.opt",
}

func renderContainerd(folders hostFolders) ([]byte, error) {
	b, err := toml.Marshal(containerdConfig{
		Version: 2, Root: folders.containerd, State: "/run/containerd",
		DisabledPlugins: unneededPlugins, GRPC: containerdGRPC{Address: containerdSocket},
	})
	if err != nil {
		return nil, fmt.Errorf("write containerd configuration: %w", err)
	}
	return b, nil
}
