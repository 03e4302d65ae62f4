package main

import (
	"context"

	"skein/cmd/skein/web"
)

// webCommand serves the page of the demo's tasks.
type webCommand struct {
	Listen string `default:":8080" help:"Address and port."`
}

// Run serves until it is told to stop.
func (c *webCommand) Run(ctx context.Context) error { return web.Run(ctx, c.Listen) }
