package containerd

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/platforms"
	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

func TestWhatAContainerRuns(t *testing.T) {
	image := ocispec.ImageConfig{Entrypoint: []string{"/entry", "-e"}, Cmd: []string{"cmd"}}
	for name, c := range map[string]struct {
		image ocispec.ImageConfig
		def   fleet.Container
		want  []string
	}{
		"the image's own":                {image, fleet.Container{}, []string{"/entry", "-e", "cmd"}},
		"a command replaces the image's": {image, fleet.Container{Command: []string{"x"}}, []string{"/entry", "-e", "x"}},
		"an entry point replaces the image's and its cmd": {image, fleet.Container{EntryPoint: []string{"/other"}},
			[]string{"/other"}},
		"both": {image, fleet.Container{EntryPoint: []string{"/other"}, Command: []string{"x"}}, []string{"/other", "x"}},
		"an image with a command alone": {ocispec.ImageConfig{Cmd: []string{"/cmd"}}, fleet.Container{},
			[]string{"/cmd"}},
		"a command for an image with nothing": {ocispec.ImageConfig{},
			fleet.Container{Command: []string{"/cmd"}}, []string{"/cmd"}},
		"an empty entry point of the image is none": {ocispec.ImageConfig{Entrypoint: []string{""}, Cmd: []string{"/cmd"}},
			fleet.Container{}, []string{"/cmd"}},
		"an empty entry point does away with the image's": {image, fleet.Container{EntryPoint: []string{""},
			Command: []string{"/cmd", ""}}, []string{"/cmd", ""}},
		"an entry point does not bring back image's cmd 2": {image, fleet.Container{EntryPoint: []string{"/o"}, Command: nil},
			[]string{"/o"}},
	} {
		got, err := argsOf(c.image, c.def)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
	for _, nothing := range []fleet.Container{{Name: "main"}, {EntryPoint: []string{""}}, {Command: []string{"", "x"}}} {
		got, err := argsOf(ocispec.ImageConfig{}, nothing)
		if err == nil || !strings.Contains(err.Error(), "nothing to run") {
			t.Errorf("nothing at all runs %q, %v", got, err)
		}
	}
	if !slices.Equal(image.Entrypoint, []string{"/entry", "-e"}) {
		t.Error("the image's configuration was changed: it is shared")
	}
}

func TestTheEnvironmentOfAContainer(t *testing.T) {
	image := ocispec.ImageConfig{Env: []string{"PATH=/bin", "A=image", "B=image", "C=image"}}
	spec := port.ContainerSpec{
		Env: []fleet.EnvVar{{Name: "B", Value: "host"}, {Name: "C", Value: "host"}, {Name: "D", Value: "host"}},
		Def: fleet.Container{Environment: []fleet.EnvVar{{Name: "C", Value: "own"}, {Name: "D", Value: "own"}, {Name: "E"}}},
	}
	want := []string{"PATH=/bin", "A=image", "B=host", "C=own", "D=own", "E="}
	if diff := cmp.Diff(want, envOf(image, spec)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"PATH=/bin", "A=image", "B=image", "C=image"}, image.Env); diff != "" {
		t.Error("the image's configuration was changed: it is shared", diff)
	}
	for name, c := range map[string]struct{ image, want []string }{
		"an image without any has a path":      {nil, []string{defaultPath}},
		"an image with others has a path":      {[]string{"FOO=bar", "PATHS=x"}, []string{"FOO=bar", "PATHS=x", defaultPath}},
		"an image that wants no path has none": {[]string{"PATH="}, []string{"PATH="}},
	} {
		if got := envOf(ocispec.ImageConfig{Env: c.image}, port.ContainerSpec{}); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestTheFolderAContainerStartsIn(t *testing.T) {
	image := ocispec.ImageConfig{WorkingDir: "/srv"}
	for name, c := range map[string]struct{ image, def, want string }{
		"the image's":    {"/srv", "", "/srv"},
		"its own":        {"/srv", "/opt", "/opt"},
		"the root":       {"", "", "/"},
		"not quite proc": {"", "/process", "/process"},
	} {
		got, err := cwdOf(ocispec.ImageConfig{WorkingDir: c.image}, fleet.Container{WorkingDirectory: c.def})
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, dir := range []string{"/proc/self/fd/7", "/proc", "//proc/1", "/srv/../proc/self", "relative",
		"proc/self/fd/8"} {
		if got, err := cwdOf(image, fleet.Container{WorkingDirectory: dir}); err == nil {
			t.Errorf("%q was accepted as %q", dir, got)
		}
	}
}

func TestAWrongFolderIsNamedByWhoseItIs(t *testing.T) {
	for want, c := range map[string]struct{ image, def string }{
		`the image's WORKDIR "srv": want an absolute path`: {"srv", ""},
		`workingDirectory "opt": want an absolute path`:    {"/srv", "opt"},
	} {
		_, err := cwdOf(ocispec.ImageConfig{WorkingDir: c.image}, fleet.Container{WorkingDirectory: c.def})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
}

// The library's "no users found" says neither who nor what to do.
func TestAUserThatTheImageDoesNotHaveIsNamed(t *testing.T) {
	for want, c := range map[string]struct{ image, def string }{
		`container main: the image's USER "-1"`: {"-1", ""},
		`container main: user "1:2:3"`:          {"web", "1:2:3"},
		`container main: user "99999999999"`:    {"", "99999999999"},
	} {
		set := withUser(ocispec.ImageConfig{User: c.image}, fleet.Container{Name: "main", User: c.def})
		err := set(t.Context(), nil, nil, &oci.Spec{Process: &specs.Process{}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "or use numbers") {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
}

// An image of one manifest is not searched for a platform, so it must be looked at.
func TestAnImageForOtherMachinesIsRefused(t *testing.T) {
	host := platforms.Only(ocispec.Platform{OS: "linux", Architecture: "amd64"})
	for platform, runs := range map[string]bool{"linux/amd64": true, "linux/x86_64": true, "linux/386": true,
		"linux/amd64/v3": true, "linux/arm64": false, "linux/arm/v7": false, "windows/amd64": false,
		"/": true, "linux/": true} {
		part := append(strings.Split(platform, "/"), "")
		facts := imageFacts{platform: ocispec.Platform{OS: part[0], Architecture: part[1], Variant: part[2]}}
		err := facts.runsOn(host)
		if runs != (err == nil) || err != nil && (!errors.Is(err, port.ErrImageNotFound) ||
			!strings.Contains(err.Error(), "made for "+platform)) {
			t.Errorf("%s: %v, want that it runs: %v", platform, err, runs)
		}
	}
}

func TestStopSignals(t *testing.T) {
	for text, want := range map[string]int{"": 15, "SIGINT": 2, "QUIT": 3, "37": 37, "SIGKILL": 15, "9": 15,
		"nonsense": 15, "0": 15} {
		if got := stopSignalOf(ocispec.ImageConfig{StopSignal: text}); got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
}

func TestCapabilities(t *testing.T) {
	host := []string{"CAP_CHOWN", "CAP_NET_ADMIN", "CAP_SYS_ADMIN"}
	standard := len(defaultCapabilities)
	for name, c := range map[string]struct {
		caps   *fleet.Capabilities
		has    []string
		hasNot []string
		n      int
	}{
		"the default cannot forge packets": {nil, []string{"CAP_CHOWN", "CAP_NET_BIND_SERVICE"},
			[]string{"CAP_NET_RAW", "CAP_SYS_ADMIN"}, standard},
		"add adds": {&fleet.Capabilities{Add: []string{"NET_ADMIN"}},
			[]string{"CAP_NET_ADMIN", "CAP_CHOWN"}, nil, standard + 1},
		"drop drops": {&fleet.Capabilities{Drop: []string{"CHOWN", "NET_RAW"}}, nil, []string{"CAP_CHOWN"}, standard - 1},
		"what is dropped and added is there": {&fleet.Capabilities{Add: []string{"CHOWN"}, Drop: []string{"CHOWN"}},
			[]string{"CAP_CHOWN"}, nil, standard},
		"drop ALL leaves what is added": {&fleet.Capabilities{Add: []string{"KILL"}, Drop: []string{"ALL"}},
			[]string{"CAP_KILL"}, nil, 1},
		"drop ALL alone leaves nothing": {&fleet.Capabilities{Drop: []string{"ALL"}}, nil, []string{"CAP_CHOWN"}, 0},
		"add ALL is what the host has": {&fleet.Capabilities{Add: []string{"ALL"}}, []string{"CAP_SYS_ADMIN"},
			[]string{"CAP_KILL"}, 3},
		"add ALL less drop": {&fleet.Capabilities{Add: []string{"ALL"}, Drop: []string{"SYS_ADMIN"}},
			[]string{"CAP_NET_ADMIN"}, []string{"CAP_SYS_ADMIN"}, 2},
	} {
		got, err := capabilitiesOf(fleet.Container{Name: "main", Capabilities: c.caps}, host)
		if err != nil || len(got) != c.n {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		for _, want := range c.has {
			if !slices.Contains(got, want) {
				t.Errorf("%s: %s is missing", name, want)
			}
		}
		for _, not := range c.hasNot {
			if slices.Contains(got, not) {
				t.Errorf("%s: has %s", name, not)
			}
		}
	}
	for _, bad := range []string{"net_admin", "CAP_CHOWN", "EVERYTHING", ""} {
		if got, err := capabilitiesOf(fleet.Container{Capabilities: &fleet.Capabilities{Drop: []string{bad}}},
			host); err == nil {
			t.Errorf("%q was accepted: %q", bad, got)
		}
	}
}

func TestSharesAndLimits(t *testing.T) {
	shares := func(cpu int64) uint64 { return *resourcesOf(fleet.Container{CPU: cpu}, false).CPU.Shares }
	for cpu, want := range map[int64]uint64{0: 2, 1: 2, 2: 2, 512: 512, 262144: 262144, 300000: 262144} {
		if got := shares(cpu); got != want {
			t.Errorf("cpu %d is %d shares, want %d", cpu, got, want)
		}
	}
	for cpu, want := range map[int64]string{0: "1", 256: "25", 512: "50", 1024: "100", 4096: "400", 262144: "10000"} {
		r := resourcesOf(fleet.Container{CPU: cpu}, true)
		if r.CPU != nil || r.Unified["cpu.weight"] != want {
			t.Errorf("cpu %d on v2: %+v, %v; want weight %s", cpu, r.CPU, r.Unified, want)
		}
	}
	none := resourcesOf(fleet.Container{}, false)
	if none.Memory.Limit != nil || none.Memory.Reservation != nil || *none.Pids.Limit != pidsLimit {
		t.Errorf("without limits: %+v", none)
	}
	both := resourcesOf(fleet.Container{Memory: 64, MemoryReservation: 32}, false)
	if *both.Memory.Limit != 64<<20 || *both.Memory.Reservation != 32<<20 {
		t.Errorf("with limits: %+v", both.Memory)
	}
}

func TestUlimits(t *testing.T) {
	got, err := rlimitsOf(fleet.Container{})
	if want := []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1024, Hard: 4096}}; err != nil ||
		!slices.Equal(got, want) {
		t.Errorf("by default: %+v, %v", got, err)
	}
	got, err = rlimitsOf(
		fleet.Container{Ulimits: []fleet.Ulimit{{Name: "memlock", Soft: -1, Hard: -1}, {Name: "nofile", Soft: 10, Hard: 20}}})
	want := []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 10, Hard: 20},
		{Type: "RLIMIT_MEMLOCK", Soft: math.MaxUint64, Hard: math.MaxUint64}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("given: %+v, %v", got, err)
	}
	for _, bad := range []fleet.Ulimit{{Name: "NOFILE"}, {Name: "files"}, {Name: "core", Soft: 2, Hard: 1},
		{Name: "core", Soft: -1, Hard: 1}} {
		if got, err := rlimitsOf(fleet.Container{Ulimits: []fleet.Ulimit{bad}}); err == nil {
			t.Errorf("%+v was accepted: %+v", bad, got)
		}
	}
}

func TestImageNames(t *testing.T) {
	d := "sha256:" + strings.Repeat("ab", 32)
	for name, c := range map[string]struct {
		ref  port.ImageRef
		want string
	}{
		"a short name":                 {port.ImageRef{Image: "web"}, "docker.io/library/web:latest"},
		"a tag":                        {port.ImageRef{Image: "reg:5000/team/web:1"}, "reg:5000/team/web:1"},
		"a digest wins over the tag":   {port.ImageRef{Image: "reg:5000/web:1", Digest: d}, "reg:5000/web@" + d},
		"a digest in the name":         {port.ImageRef{Image: "reg:5000/web@" + d}, "reg:5000/web@" + d},
		"a digest with the tag before": {port.ImageRef{Image: "reg:5000/web:1@" + d}, "reg:5000/web@" + d},
	} {
		got, err := parseReference(c.ref)
		if err != nil || got.full != c.want || (got.digest != "") != strings.Contains(c.want, "@") {
			t.Errorf("%s: %+v, %v; want %s", name, got, err, c.want)
		}
	}
	for _, bad := range []port.ImageRef{{}, {Image: "a b"}, {Image: "web", Digest: "latest"},
		{Image: "web", Digest: "sha256:12"}, {Image: strings.Repeat("a", 300)}} {
		if got, err := parseReference(bad); !errors.Is(err, port.ErrImageNotFound) {
			t.Errorf("%+v is %+v, %v", bad, got, err)
		}
	}
}

func FuzzImageName(f *testing.F) {
	f.Add("web", "")
	f.Add("reg:5000/web:1", "sha256:"+strings.Repeat("ab", 32))
	f.Fuzz(func(t *testing.T, image, digest string) {
		name, err := parseReference(port.ImageRef{Image: image, Digest: digest})
		if err == nil && (name.full == "" || digest != "" && name.digest.String() != digest) {
			t.Errorf("%q, %q is %+v", image, digest, name)
		}
	})
}

func TestLabelsSayAllThereIsToKnow(t *testing.T) {
	spec := port.ContainerSpec{
		ID: "t.main", Task: "t", Attempt: 3, Def: fleet.Container{Name: "main"},
		Image: port.ImageRef{Image: "web:1"}, CgroupPath: "/skein/work/t/main",
		Labels: map[string]string{"colour": "green"},
	}
	labels, err := labelsOf(spec, "sha256:x", 2)
	if err != nil {
		t.Fatal(err)
	}
	want := port.ContainerStatus{
		ID: "t.main", Task: "t", Container: "main", Attempt: 3, StopSignal: 2,
		Image: "web:1", Digest: "sha256:x", Labels: map[string]string{"colour": "green"},
	}
	labels["containerd.io/added"] = "by the daemon"
	if diff := cmp.Diff(want, statusOf(labels)); diff != "" {
		t.Error(diff)
	}
	for _, key := range []string{"skein.task", "containerd.io/gc.root", "long"} {
		spec.Labels = map[string]string{key: strings.Repeat("x", maxLabel)}
		if _, err := labelsOf(spec, "", 0); err == nil {
			t.Errorf("label %s was accepted", key)
		}
	}
}

func TestIDsThatContainerdTakes(t *testing.T) {
	short := "0123456789abcdef0123456789abcdef.main"
	if got := runtimeID(short); got != short {
		t.Errorf("%s became %s", short, got)
	}
	seen := map[string]bool{}
	for _, id := range []string{"t.a--b", "t.a_", "t." + strings.Repeat("x", 255), "t." + strings.Repeat("x", 254) + "y",
		""} {
		got := runtimeID(id)
		if got == id || len(got) > 76 || seen[got] {
			t.Errorf("%s became %s", id, got)
		}
		seen[got] = true
		var names idNames
		names.learn(id)
		if names.of(got) != id {
			t.Errorf("%s is forgotten", id)
		}
		names.forget(id)
		if names.of(got) != got {
			t.Errorf("%s is remembered", id)
		}
	}
}
