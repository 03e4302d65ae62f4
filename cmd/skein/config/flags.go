package config

import (
	"os"
	"slices"

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

// Environment gives every key of an agent's configuration, and --config, a
// variable. Flags of other commands have none unless a tag names it: what is set
// for one command must not steer another.
func Environment() kong.Option {
	return kong.PostBuild(func(k *kong.Kong) error {
		return kong.Visit(k.Model, func(node kong.Visitable, next kong.Next) error {
			command, ok := node.(*kong.Node)
			if application, is := node.(*kong.Application); is {
				command, ok = application.Node, true
			}
			if ok && configures(command) {
				for _, flag := range command.Flags {
					if len(flag.Envs) == 0 && isKey(flag.Name) {
						flag.Envs = []string{Env(flag.Name)}
						flag.Tag.Envs = flag.Envs
					}
				}
			}
			return next(nil)
		})
	})
}

// configures reports whether a command, or an application of one, embeds Flags.
func configures(command *kong.Node) bool {
	return slices.ContainsFunc(command.Flags, func(f *kong.Flag) bool {
		_, ok := f.Target.Interface().(Path)
		return ok
	})
}

func isKey(flag string) bool {
	return flag == "config" || slices.ContainsFunc(keys, func(k key) bool { return k.flag == flag })
}

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
