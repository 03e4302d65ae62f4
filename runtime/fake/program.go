package fake

import "time"

// Forever is a Run that does not end by itself.
const Forever = time.Duration(-1)

// Run is what a process does. The zero value ends at once with code 0.
type Run struct {
	Output      string        // appended to the log at the start
	After       time.Duration // until it ends by itself, or Forever
	ExitCode    int
	OnTerm      int  // exit code after SIGTERM
	IgnoresTerm bool // only SIGKILL ends it
	MemoryMiB   int64
}

// Program says what a command does; ok is false when the image has no such
// command.
type Program func(argv []string) (run Run, ok bool)

// Stay is a Program of which every command runs until it is told to stop.
func Stay([]string) (Run, bool) { return Run{After: Forever}, true }

// Image is what the twin of a registry holds under a name.
type Image struct {
	Digest     string // "sha256:..."
	Entrypoint []string
	Cmd        []string
	Program    Program // Stay when nil
}

func (i *Image) run(argv []string) (Run, bool) {
	if i.Program == nil {
		return Stay(argv)
	}
	return i.Program(argv)
}

// argv is what a container runs. Source: ECS API, ContainerDefinition: an entry point replaces the
// image's and its command.
func (i *Image) argv(entryPoint, command []string) []string {
	entry, cmd := i.Entrypoint, i.Cmd
	if len(entryPoint) > 0 {
		entry, cmd = entryPoint, nil
	}
	if len(command) > 0 {
		cmd = command
	}
	return append(append([]string{}, entry...), cmd...)
}
