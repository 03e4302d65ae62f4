// Package containerd runs containers on a containerd daemon (1.6 or newer): it
// pulls images, makes containers from fleet's definitions with the least
// privilege that works, and finds them again by label.
//
// Everything that runs outlives this process and the daemon: logs are appended
// to files by the shim, no pipe or child of this process is in a container's
// path, and all that must be known of a container is in its labels. What the
// daemon cannot say is [port.ContainerUnknown]; only its word, or a container
// without a process in its cgroup, is an exit.
//
// Every call has a deadline of its own, so that one stuck shim keeps up nobody
// but its task. A [Client] may be used by several goroutines; calls for one
// container must not overlap. Decisions and figures: ../DESIGN.md.
package containerd
