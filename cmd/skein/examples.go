package main

import "github.com/alecthomas/kong"

// examples puts the example of each command (tag example) at the end of its
// help.
func examples() kong.Option {
	return kong.PostBuild(func(k *kong.Kong) error {
		return kong.Visit(k.Model, func(node kong.Visitable, next kong.Next) error {
			if command, ok := node.(*kong.Node); ok && command.Tag != nil && command.Tag.Has("example") {
				command.Detail = "Example:\n\n  " + command.Tag.Get("example")
			}
			return next(nil)
		})
	})
}
