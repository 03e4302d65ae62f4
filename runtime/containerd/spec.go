package containerd

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/cap"
	"github.com/containerd/containerd/v2/pkg/oci"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// initPath is where Config.Init is bound into a container: on the tmpfs that
// every container has, so that the image is not touched.
const initPath = "/dev/skein-init"

// ociSpec turns a container's definition into what the OCI runtime reads. The
// record names the snapshot, in which users and groups are looked up.
func (c *Client) ociSpec(
	ctx context.Context, spec port.ContainerSpec, facts imageFacts, record *containers.Container,
) (*oci.Spec, error) {
	def := spec.Def
	args, err := argsOf(facts.config, def)
	if err != nil {
		return nil, err
	}
	cwd, err := cwdOf(facts.config, def)
	if err != nil {
		return nil, err
	}
	limits, err := rlimitsOf(def)
	if err != nil {
		return nil, err
	}
	if !path.IsAbs(spec.CgroupPath) || path.Clean(spec.CgroupPath) != spec.CgroupPath {
		return nil, fmt.Errorf("container %s: cgroup path %q: want a clean absolute path", def.Name, spec.CgroupPath)
	}
	mounts := mountsOf(spec)
	if def.InitProcess {
		if len(c.config.Init) == 0 {
			return nil, fmt.Errorf("container %s: linuxParameters.initProcessEnabled: this host has no init program", def.Name)
		}
		mounts = append(mounts, readOnly(c.config.Init[0], initPath))
		args = append(append([]string{initPath}, c.config.Init[1:]...), append([]string{"--"}, args...)...)
	}
	opts := []oci.SpecOpts{
		setVersion,
		oci.WithProcessArgs(args...),
		oci.WithProcessCwd(cwd),
		setEnv(envOf(facts.config, spec)),
		withUser(facts.config, def),
		oci.WithoutRunMount, // images keep files there, and docker mounts nothing
		oci.WithMounts(mounts),
		oci.WithDefaultUnixDevices,
		oci.WithCgroup(spec.CgroupPath),
		oci.WithNoNewPrivileges,
		setLimits(limits, resourcesOf(def, c.cgroups.unified)),
	}
	if spec.Hostname != "" {
		opts = append(opts, oci.WithHostname(spec.Hostname))
	}
	if def.ReadonlyRootFS {
		opts = append(opts, oci.WithRootFSReadonly())
	}
	if c.cgroups.unified {
		opts = append(opts, oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.CgroupNamespace}))
	}
	opts = append(opts, networkOf(spec)...)
	privileges, err := c.privilegesOf(def)
	if err != nil {
		return nil, err
	}
	return oci.GenerateSpec(ctx, c.daemon, record, append(opts, privileges...)...)
}

// privilegesOf comes last: the seccomp profile depends on the capabilities.
func (c *Client) privilegesOf(def fleet.Container) ([]oci.SpecOpts, error) {
	if def.Privileged {
		if !c.config.AllowPrivileged {
			return nil, fmt.Errorf("container %s: privileged: this host does not allow it (runtime.allow_privileged)", def.Name)
		}
		return []oci.SpecOpts{oci.WithPrivileged, oci.WithNewPrivileges, oci.WithAllDevicesAllowed, oci.WithHostDevices}, nil
	}
	available, err := cap.Current()
	if err != nil {
		return nil, err
	}
	capabilities, err := capabilitiesOf(def, available)
	if err != nil {
		return nil, err
	}
	return []oci.SpecOpts{oci.WithCapabilities(capabilities), seccomp.WithDefaultProfile(), withoutX32}, nil
}

// withoutX32 takes the x32 ABI out of the seccomp profile: nothing uses it, and
// for each ABI the OCI runtime compiles the whole filter again, at every start.
func withoutX32(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	profile := s.Linux.Seccomp
	profile.Architectures = slices.DeleteFunc(profile.Architectures, func(a specs.Arch) bool { return a == specs.ArchX32 })
	return nil
}

func mountsOf(spec port.ContainerSpec) []specs.Mount {
	mounts := []specs.Mount{{
		Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup",
		Options: []string{"ro", "nosuid", "noexec", "nodev"}, // runtimes size their heaps by it
	}}
	if spec.ResolvConf != "" {
		mounts = append(mounts, readOnly(spec.ResolvConf, "/etc/resolv.conf"))
	}
	if spec.HostsFile != "" {
		mounts = append(mounts, readOnly(spec.HostsFile, "/etc/hosts"))
	}
	return mounts
}

func readOnly(source, destination string) specs.Mount {
	return specs.Mount{Destination: destination, Type: "bind", Source: source,
		Options: []string{"rbind", "ro", "nosuid", "nodev"}}
}

// networkOf: the host's namespace, that of another container of the task, or a
// new one, in which low ports and ping need no privilege.
func networkOf(spec port.ContainerSpec) []oci.SpecOpts {
	switch {
	case spec.Network == fleet.NetworkHost:
		return []oci.SpecOpts{oci.WithHostNamespace(specs.NetworkNamespace)}
	case spec.JoinPID > 0:
		return []oci.SpecOpts{oci.WithLinuxNamespace(specs.LinuxNamespace{
			Type: specs.NetworkNamespace, Path: fmt.Sprintf("/proc/%d/ns/net", spec.JoinPID),
		})}
	default:
		return []oci.SpecOpts{func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
			s.Linux.Sysctl = map[string]string{
				"net.ipv4.ip_unprivileged_port_start": "0",
				"net.ipv4.ping_group_range":           "0 2147483647",
			}
			return nil
		}}
	}
}

// specVersion is the lowest version of the runtime specification that has all
// that is asked for. The library writes its newest, which runtimes of its time
// know and older ones refuse (crun 1.8: "unknown version specified").
const specVersion = "1.0.2"

func setVersion(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	s.Version = specVersion
	return nil
}

func setEnv(env []string) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		s.Process.Env = env
		return nil
	}
}

// withUser looks user and groups up in the image. The library says only that
// there is none, so its word is completed by who is meant and what would do.
func withUser(image ocispec.ImageConfig, def fleet.Container) oci.SpecOpts {
	user, whose := userOf(image, def)
	look := lookUpUser(user)
	return func(ctx context.Context, client oci.Client, c *containers.Container, s *oci.Spec) error {
		if err := look(ctx, client, c, s); err != nil {
			return fmt.Errorf("container %s: %s %q is not to be had: the image's /etc/passwd and /etc/group must list its "+
				"names, or use numbers: %w", def.Name, whose, user, err)
		}
		return nil
	}
}

// lookUpUser looks a user and its groups up. The groups an image lists a user in
// count unless a group is named.
func lookUpUser(user string) oci.SpecOpts {
	if user == "" {
		return oci.WithAdditionalGIDs("root")
	}
	if strings.Contains(user, ":") {
		return oci.WithUser(user)
	}
	return oci.Compose(oci.WithUser(user), func(ctx context.Context, client oci.Client, c *containers.Container,
		s *oci.Spec) error {
		return oci.WithAdditionalGIDs(fmt.Sprint(s.Process.User.UID))(ctx, client, c, s)
	})
}

func setLimits(limits []specs.POSIXRlimit, resources *specs.LinuxResources) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		s.Process.Rlimits = limits
		// The shim's own score protects it; what it starts must not inherit that.
		score := 0
		s.Process.OOMScoreAdj = &score
		resources.Devices = s.Linux.Resources.Devices
		s.Linux.Resources = resources
		return nil
	}
}
