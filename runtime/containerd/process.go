package containerd

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/moby/sys/signal"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

const (
	sigterm = 15
	sigkill = 9

	defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// argsOf is what the container runs: an entry point replaces the image's and,
// with it, the image's command; a command replaces the image's. An entry point of
// one empty word stands for none, as image builders and docker have it. Source: ECS API, ContainerDefinition.
func argsOf(image ocispec.ImageConfig, def fleet.Container) ([]string, error) {
	entry, command := image.Entrypoint, image.Cmd
	if len(def.EntryPoint) > 0 {
		entry, command = def.EntryPoint, nil
	}
	if len(def.Command) > 0 {
		command = def.Command
	}
	if len(entry) == 1 && entry[0] == "" {
		entry = nil
	}
	args := slices.Concat(entry, command)
	if len(args) == 0 || args[0] == "" {
		return nil, fmt.Errorf("container %s: nothing to run: neither the image nor entryPoint nor command names a program",
			def.Name)
	}
	return args, nil
}

// envOf is the image's environment, then what the host loop adds, then the
// container's own; the last of a name wins and keeps the first one's place. There
// is always a PATH: programs are looked up by it.
func envOf(image ocispec.ImageConfig, spec port.ContainerSpec) []string {
	env := slices.Clone(image.Env)
	if !slices.ContainsFunc(env, func(line string) bool { return strings.HasPrefix(line, "PATH=") }) {
		env = append(env, defaultPath)
	}
	at := map[string]int{}
	for i, e := range env {
		name, _, _ := strings.Cut(e, "=")
		at[name] = i
	}
	for _, v := range slices.Concat(spec.Env, spec.Def.Environment) {
		line := v.Name + "=" + v.Value
		if i, ok := at[v.Name]; ok {
			env[i] = line
			continue
		}
		at[v.Name] = len(env)
		env = append(env, line)
	}
	return env
}

// cwdOf is the folder the container starts in. A path into a process's
// descriptors could lead out of the container (CVE-2024-21626).
func cwdOf(image ocispec.ImageConfig, def fleet.Container) (string, error) {
	dir, whose := def.WorkingDirectory, "workingDirectory"
	if dir == "" {
		dir, whose = image.WorkingDir, "the image's WORKDIR"
	}
	if dir == "" {
		return "/", nil
	}
	if clean := path.Clean("/" + dir); clean == "/proc" || strings.HasPrefix(clean, "/proc/") {
		return "", fmt.Errorf("container %s: %s %q: may not lie in /proc", def.Name, whose, dir)
	}
	if !path.IsAbs(dir) {
		return "", fmt.Errorf("container %s: %s %q: want an absolute path", def.Name, whose, dir)
	}
	return dir, nil
}

// userOf is whom the container runs as: "user", "uid", with ":group" or ":gid",
// looked up in the image; empty for the image's root. whose says where it is from.
func userOf(image ocispec.ImageConfig, def fleet.Container) (user, whose string) {
	if def.User != "" {
		return def.User, "user"
	}
	return image.User, "the image's USER"
}

// stopSignalOf is what asks the container to stop.
func stopSignalOf(image ocispec.ImageConfig) int {
	if image.StopSignal == "" {
		return sigterm
	}
	s, err := signal.ParseSignal(image.StopSignal)
	if err != nil || s <= 0 || s == sigkill {
		return sigterm // an image cannot do away with its grace period
	}
	return int(s)
}
