package config

import (
	"os"

	"github.com/alecthomas/kong"
)

// Flags are embedded by every command that is about this host. After parsing,
// Config holds the merged and checked configuration.
type Flags struct {
	File   Path `name:"config" type:"path" help:"Configuration file (TOML). Default: /etc/skein/agent.toml, if there is one." placeholder:"FILE"`
	Config `embed:""`
}

// DefaultFile is read when no --config is given and it exists.
const DefaultFile = "/etc/skein/agent.toml"

// Path is the path of a configuration file that is merged under flags and
// environment while kong resolves them.
type Path string

// BeforeResolve reads the file; kong calls it by name.
func (p Path) BeforeResolve(_ *kong.Kong, ctx *kong.Context, trace *kong.Path) error {
	path := string(p)
	if given, ok := ctx.FlagValue(trace.Flag).(Path); ok && given != "" {
		path = string(given)
	}
	if path == "" {
		return nil
	}
	file, err := ReadFile(path)
	if err != nil {
		return err
	}
	ctx.AddResolver(file)
	return nil
}

// Validate checks the merged values; kong calls it by name.
func (f *Flags) Validate() error {
	if f.Name == "" {
		f.Name, _ = os.Hostname()
	}
	err := f.Check()
	if err == nil || f.File == "" {
		return err
	}
	file, readErr := ReadFile(string(f.File))
	if readErr != nil {
		return err
	}
	return file.Explain(err)
}
