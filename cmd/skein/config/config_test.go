package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"skein/cmd/skein/config"
)

// parse runs the flags through kong as cmd/skein does.
func parse(t *testing.T, file string, args ...string) (config.Flags, error) {
	t.Helper()
	if file != "" {
		path := filepath.Join(t.TempDir(), "agent.toml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	var flags config.Flags
	parser, err := kong.New(&flags, config.Environment(), kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(args)
	return flags, err
}

func TestFlagWinsOverEnvironmentWinsOverFileWinsOverDefault(t *testing.T) {
	file := "name = \"from-file\"\nzone = \"from-file\"\n[containerd]\naddress = " +
		"\"/from/file.sock\"\n[registry]\nplain_http = [\"a:1\", \"b:2\"]\n[attributes]\nrack = \"r1\"\n[capacity]\ncpu " +
		"= 2048\n"
	t.Setenv("SKEIN_ZONE", "from-env")
	t.Setenv("SKEIN_CONTAINERD_ADDRESS", "/from/env.sock")
	got, err := parse(t, file, "--containerd-address", "/from/flag.sock")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ what, got, want string }{
		{"name", got.Name, "from-file"},
		{"zone", got.Zone, "from-env"},
		{"containerd.address", got.Containerd.Address, "/from/flag.sock"},
		{"containerd.namespace", got.Containerd.Namespace, "skein"},
		{"registry.plain_http", strings.Join(got.Registry.PlainHTTP, " "), "a:1 b:2"},
		{"attributes", got.Attributes["rack"], "r1"},
	} {
		if row.got != row.want {
			t.Errorf("%s = %q, want %q", row.what, row.got, row.want)
		}
	}
	if got.Capacity.CPU != 2048 {
		t.Errorf("capacity.cpu = %d, want 2048", got.Capacity.CPU)
	}
}

func TestRefusalsNameKeyLineAndWhatIsAllowed(t *testing.T) {
	tests := map[string]struct {
		file string
		want []string
	}{
		"an unknown key": {"name = \"h1\"\nzoone = \"a\"\n", []string{"line 2", `"zoone"`, "zone"}},
		"an unknown key in a table": {"[cgroup]\nparrent = \"/x\"\n",
			[]string{"line 2", `"cgroup.parrent"`, "cgroup.parent"}},
		"a number for a text": {"name = 3\n", []string{"line 1: name: wrong type", "text in quotes"}},
		"a text for a number": {"[capacity]\ncpu = \"2\"\n", []string{"line 2: capacity.cpu: wrong type", "a whole number"}},
		"a text for a list": {"[registry]\nplain_http = \"x:1\"\n",
			[]string{"line 2: registry.plain_http: wrong type", "a list of texts"}},
		"a text for a table":     {"attributes = \"ssd\"\n", []string{"line 1: attributes: wrong type", "a table of texts"}},
		"a bad value at the top": {"\nname = \"-h\"\n", []string{"line 2", "name", "letters"}},
		"a bad value in a table": {"[network]\n\nsubnet = \"10.0.0.1/24\"\n",
			[]string{"line 3", "network.subnet", "172.29.0.0/20"}},
		"too few addresses for aliases": {"[network]\naliases = \"198.19.0.0/24\"\n",
			[]string{"line 2", "network.aliases", "198.19.0.0/16"}},
		"aliases among tasks": {"[network]\naliases = \"172.16.0.0/12\"\n",
			[]string{"line 2", "network.aliases", "overlaps network.subnet"}},
		"a level outside its set": {"log_level = \"loud\"\n", []string{"line 1: log_level", "debug"}},
		"an address without port": {"peer_listen = \"10.0.0.1\"\n", []string{"line 1", "peer_listen", ":7700"}},
		"an advertised wildcard":  {"peer_advertise = \"0.0.0.0:7700\"\n", []string{"line 1", "peer_advertise", "dial"}},
		"text that is no TOML":    {"name = \n", []string{"line 1"}},
		"a relative data folder":  {"data_dir = \"var\"\n", []string{"line 1", "data_dir", "absolute"}},
		"a runtime of no known name": {"[containerd]\nruntime = \"kata\"\n",
			[]string{"line 2", "containerd.runtime", "auto, runc, crun"}},
		"a relative runtime": {"[containerd]\nruntime = \"bin/crun\"\n",
			[]string{"line 2", "containerd.runtime", "absolute path"}},
		"a registry with a scheme": {"[registry]\nplain_http = [\"http://x:1\"]\n",
			[]string{"line 2", "registry.plain_http", "host:port"}},
		"a file that is far too long": {strings.Repeat("# x\n", 20000), []string{"65536"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := parse(t, tt.file)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestEveryKeyHasFlagAndEnvironment(t *testing.T) {
	var flags config.Flags
	parser, err := kong.New(&flags, config.Environment())
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*kong.Flag{}
	for _, flag := range parser.Model.Flags {
		byName[flag.Name] = flag
	}
	for _, key := range config.Keys() {
		name := strings.NewReplacer("_", "-", ".", "-").Replace(key)
		flag := byName[name]
		if flag == nil {
			t.Errorf("key %s has no flag --%s", key, name)
			continue
		}
		if len(flag.Envs) != 1 || flag.Envs[0] != config.Env(name) {
			t.Errorf("key %s: environment %v, want %s", key, flag.Envs, config.Env(name))
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("name = \"h1\"\n[containerd]\naddress = \"/x\"\n"))
	f.Add([]byte("= ="))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := config.Parse("fuzz", text)
		if err == nil {
			file.Line("containerd.address")
		}
	})
}
