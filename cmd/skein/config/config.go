// Package config reads what an agent is told about its host: a TOML file, with
// every key also as a flag (--containerd-address) and in the environment
// (SKEIN_CONTAINERD_ADDRESS). A flag wins over the environment, the environment
// over the file, the file over the default. Unknown keys, wrong types and bad
// values are refused naming the key, the line and what is allowed.
//
// It owns the keys and their checks; it opens nothing but the file.
package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// OperatorTokenFile is where an operator token lies unless told otherwise.
const OperatorTokenFile = "/etc/skein/operator.token"

// PeerPort is where agents listen for each other unless told otherwise.
const PeerPort = 7700

// StatusPort is where agents show their status page unless told otherwise.
const StatusPort = 7702

// Config is an agent's configuration. Tags name the TOML key; flag and
// environment names follow from them.
type Config struct {
	Name              string            `toml:"name" help:"Name of this host, unique in the fleet. Default: the machine's host name." placeholder:"NAME"`
	Zone              string            `toml:"zone" default:"default" help:"Failure domain of this host: a rack, a room, an availability zone."`
	Attributes        map[string]string `toml:"attributes" help:"Attributes of this host, name=value."`
	DataDir           string            `toml:"data_dir" default:"/var/lib/skein" help:"Folder for identity, keys, log and wanted state; not on tmpfs or overlay."`
	PeerListen        string            `toml:"peer_listen" default:"0.0.0.0:7700" help:"Address and port for other agents (TLS)."`
	PeerAdvertise     string            `toml:"peer_advertise" help:"Address and port other agents dial. Default: peer_listen, or this host's first address." placeholder:"ADDR:PORT"`
	GossipListen      string            `toml:"gossip_listen" default:"0.0.0.0:7701" help:"Address and port for gossip (UDP and TCP, encrypted)."`
	StatusListen      string            `toml:"status_listen" default:"127.0.0.1:7702" help:"Address and port of the read-only status page (plain HTTP), or none."`
	Socket            string            `toml:"socket" default:"/run/skein/agent.sock" help:"Unix socket for root's commands."`
	OperatorTokenFile string            `toml:"operator_token_file" default:"/etc/skein/operator.token" help:"File with an operator token; a worker needs one to forward writes."`
	LogLevel          string            `toml:"log_level" default:"info" help:"debug, info, warn or error."`
	Containerd        Containerd        `toml:"containerd" embed:"" prefix:"containerd-"`
	Cgroup            Cgroup            `toml:"cgroup" embed:"" prefix:"cgroup-"`
	Network           Network           `toml:"network" embed:"" prefix:"network-"`
	Registry          Registry          `toml:"registry" embed:"" prefix:"registry-"`
	Capacity          Capacity          `toml:"capacity" embed:"" prefix:"capacity-"`
	AccessLog         AccessLog         `toml:"access_log" embed:"" prefix:"access-log-"`
}

// Containerd is where containers run.
type Containerd struct {
	Address   string `toml:"address" default:"/run/containerd/containerd.sock" help:"Socket of containerd (1.6 or newer)."`
	Namespace string `toml:"namespace" default:"skein" help:"containerd namespace of Skein's containers."`
	Runtime   string `toml:"runtime" default:"auto" help:"OCI runtime of new containers: runc, crun, the path of another, or auto: crun where it is installed and passes the self-check, else runc."`
}

// Cgroup is where tasks are nested.
type Cgroup struct {
	Parent string `toml:"parent" default:"/skein" help:"Cgroup under which agent and tasks live."`
}

// Network is the host-local network of bridge tasks.
type Network struct {
	Bridge string `toml:"bridge" default:"skein0" help:"Bridge for tasks in network mode bridge."`
	Subnet string `toml:"subnet" default:"172.29.0.0/20" help:"Host-local subnet of that bridge."`
	// Aliases are this host's own, like Subnet: tasks of other hosts never see them.
	Aliases string `toml:"aliases" default:"198.19.0.0/16" help:"Host-local addresses at which tasks reach DNS and the aliases of services."`
}

// Registry says how image registries are spoken to.
type Registry struct {
	PlainHTTP []string `toml:"plain_http" help:"Registries (host:port) spoken to without TLS." placeholder:"HOST:PORT"`
}

// Capacity is what tasks may reserve; zero means what the machine has.
type Capacity struct {
	CPU    int64 `toml:"cpu" help:"1/1024 cores tasks may reserve. Default: all." placeholder:"N"`
	Memory int64 `toml:"memory" help:"MiB tasks may reserve. Default: all but 5 % and at least 256 MiB for the host." placeholder:"N"`
}

// AccessLogFiles is how many files of the access log a host may be told to keep.
const AccessLogFiles = 100

// AccessLogName is the newest file of the access log, in the data folder.
const AccessLogName = "access.log"

// AccessLog says which requests to the fleet's listeners this host writes down, in access.log
// in the data folder, and how much of them it keeps. Lines are of one request each, and a
// tenth of a million of them is about 30 MiB.
type AccessLog struct {
	Sample int64 `toml:"sample" default:"100" help:"One in so many requests to listeners is written to access.log in data_dir, and each that fails; 0 writes none." placeholder:"N"`
	SizeMB int64 `toml:"size_mb" default:"16" help:"MiB of one file of the access log." placeholder:"N"`
	Files  int64 `toml:"files" default:"4" help:"Files of the access log that are kept, with the newest." placeholder:"N"`
}

var (
	nameRule   = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$`)
	bridgeRule = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,14}$`)
	cgroupRule = regexp.MustCompile(`^(/[a-zA-Z0-9_.-]+)+$`)
)

// KeyError is a refused value of one key.
type KeyError struct {
	Key string // "containerd.address"
	Why string
}

func (e *KeyError) Error() string { return e.Key + ": " + e.Why }

// Check refuses bad values, the first by key order, as a *KeyError.
func (c *Config) Check() error {
	checks := []struct {
		key string
		err error
	}{
		{"name", matches(c.Name, nameRule, "1 to 63 letters, digits, '-', '_' or '.', starting with a letter or digit")},
		{"zone", CheckZone(c.Zone)},
		{"attributes", attributes(c.Attributes)},
		{"data_dir", absolute(c.DataDir)},
		{"peer_listen", listenAddress(c.PeerListen, false)},
		{"peer_advertise", advertised(c.PeerAdvertise)},
		{"gossip_listen", listenAddress(c.GossipListen, false)},
		{"status_listen", listenAddress(c.StatusListen, true)},
		{"socket", absolute(c.Socket)},
		{"operator_token_file", absolute(c.OperatorTokenFile)},
		{"log_level", oneOf(c.LogLevel, "debug", "info", "warn", "error")},
		{"containerd.address", absolute(c.Containerd.Address)},
		{"containerd.namespace", matches(c.Containerd.Namespace, nameRule, "letters, digits, '-', '_' or '.'")},
		{"containerd.runtime", ociRuntime(c.Containerd.Runtime)},
		{"cgroup.parent", matches(c.Cgroup.Parent, cgroupRule, `an absolute cgroup path like "/skein"`)},
		{"network.bridge", matches(c.Network.Bridge, bridgeRule, "1 to 15 lower-case letters, digits, '-', '_' or '.'")},
		{"network.subnet", subnet(c.Network.Subnet)},
		{"network.aliases", aliases(c.Network.Aliases, c.Network.Subnet)},
		{"registry.plain_http", registries(c.Registry.PlainHTTP)},
		{"capacity.cpu", atLeast(c.Capacity.CPU, 0)},
		{"capacity.memory", atLeast(c.Capacity.Memory, 0)},
		{"access_log.sample", within(c.AccessLog.Sample, 0, 1_000_000)},
		{"access_log.size_mb", within(c.AccessLog.SizeMB, 1, 1024)},
		{"access_log.files", within(c.AccessLog.Files, 1, AccessLogFiles)},
	}
	for _, check := range checks {
		if check.err != nil {
			return &KeyError{Key: check.key, Why: check.err.Error()}
		}
	}
	return nil
}

// CheckZone refuses what cannot be the name of a zone.
func CheckZone(zone string) error {
	return matches(zone, nameRule, "1 to 63 letters, digits, '-', '_' or '.', starting with a letter or digit")
}

// Level is the log level as slog has it.
func (c *Config) Level() slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return slog.LevelInfo
	}
	return level
}

func matches(value string, rule *regexp.Regexp, allowed string) error {
	if !rule.MatchString(value) {
		return fmt.Errorf("%q is refused: allowed are %s", value, allowed)
	}
	return nil
}

func oneOf(value string, allowed ...string) error {
	if !slices.Contains(allowed, value) {
		return fmt.Errorf("%q is refused: allowed are %s", value, strings.Join(allowed, ", "))
	}
	return nil
}

func ociRuntime(value string) error {
	if filepath.IsAbs(value) {
		return absolute(value)
	}
	if oneOf(value, "auto", "runc", "crun") != nil {
		return fmt.Errorf("%q is refused: allowed are auto, runc, crun, or an absolute path", value)
	}
	return nil
}

func absolute(path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return fmt.Errorf("%q is refused: it must be a clean absolute path", path)
	}
	return nil
}

func listenAddress(value string, mayBeNone bool) error {
	if mayBeNone && value == "none" {
		return nil
	}
	addr, err := netip.ParseAddrPort(value)
	if err != nil || addr.Port() == 0 {
		return fmt.Errorf("%q is refused: it must be an address and a port, like 10.0.0.5:7700 or [::]:7700", value)
	}
	return nil
}

func advertised(value string) error {
	if value == "" {
		return nil
	}
	addr, err := netip.ParseAddrPort(value)
	if err != nil || addr.Port() == 0 || addr.Addr().IsUnspecified() {
		return fmt.Errorf("%q is refused: it must be an address others can dial, like 10.0.0.5:7700", value)
	}
	return nil
}

// DialAddress is where a port of another host is that somebody named: ADDR or
// ADDR:PORT, an address or a name. Without a port it is the usual one.
func DialAddress(addr string, usual uint16) (string, error) {
	bare := strings.TrimSuffix(strings.TrimPrefix(addr, "["), "]")
	if ip, err := netip.ParseAddr(bare); err == nil {
		return netip.AddrPortFrom(ip, usual).String(), nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		host, port, err = net.SplitHostPort(addr + ":" + strconv.Itoa(int(usual)))
	}
	n, malformed := strconv.ParseUint(port, 10, 16)
	if err != nil || malformed != nil || n == 0 || host == "" || strings.ContainsAny(host, "/ ") {
		return "", fmt.Errorf("address %q is refused: it must be like 10.0.0.5:%d", addr, usual)
	}
	return net.JoinHostPort(host, port), nil
}

func subnet(value string) error {
	prefix, err := netip.ParsePrefix(value)
	if err != nil || prefix != prefix.Masked() || !prefix.Addr().Is4() || prefix.Bits() > 28 || prefix.Bits() < 8 {
		return fmt.Errorf("%q is refused: it must be an IPv4 network of /8 to /28, like 172.29.0.0/20", value)
	}
	return nil
}

func aliases(value, subnet string) error {
	prefix, err := netip.ParsePrefix(value)
	if err != nil || prefix != prefix.Masked() || !prefix.Addr().Is4() || prefix.Bits() > 20 || prefix.Bits() < 8 {
		return fmt.Errorf("%q is refused: it must be an IPv4 network of /8 to /20, like 198.19.0.0/16", value)
	}
	if tasks, err := netip.ParsePrefix(subnet); err == nil && tasks.Overlaps(prefix) {
		return fmt.Errorf("%q is refused: it overlaps network.subnet, %s", value, subnet)
	}
	return nil
}

// maxAttributes is ECS's limit of custom attributes per instance (ECS guide, task placement).
const maxAttributes = 10

var attributeRule = regexp.MustCompile(`^[a-zA-Z0-9_./\\-]{1,128}$`)

func attributes(all map[string]string) error {
	if len(all) > maxAttributes {
		return fmt.Errorf("%d attributes are refused: at most %d", len(all), maxAttributes)
	}
	for name, value := range all {
		if !attributeRule.MatchString(name) || len(value) > 128 {
			return fmt.Errorf("%q is refused: names are 1 to 128 letters, digits or -_/\\., values at most 128 long", name)
		}
	}
	return nil
}

func registries(hosts []string) error {
	for _, host := range hosts {
		if host == "" || strings.ContainsAny(host, "/ @") {
			return fmt.Errorf("%q is refused: it must be host:port without a scheme or path", host)
		}
	}
	return nil
}

func within(value, least, most int64) error {
	if value < least || value > most {
		return fmt.Errorf("%d is refused: it must be from %d to %d", value, least, most)
	}
	return nil
}

func atLeast(value, least int64) error {
	if value < least {
		return fmt.Errorf("%d is refused: it must be %d or more", value, least)
	}
	return nil
}
