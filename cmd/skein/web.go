package main

import (
	"bytes"
	"context"
	"os"
	"time"

	"skein/cmd/skein/web"
)

// webCommand serves the page of the demo's tasks. Its other flags make it a
// task that is hard on its host, to try what becomes of it.
type webCommand struct {
	Listen     string `default:":8080" help:"Address and port."`
	Flood      int    `help:"Also write so many bytes a second to standard output." placeholder:"BYTES"`
	IgnoreTerm bool   `help:"Serve on when told to stop, until killed."`
	Fail       int    `help:"Answer so many of a hundred requests with 500; health checks stay well." placeholder:"PERCENT"`
	Unhealthy  bool   `help:"Fail health checks."`
	Slow       int    `help:"Answer requests so late; health checks stay well." placeholder:"MILLISECONDS"`
}

// Run serves until it is told to stop.
func (c *webCommand) Run(ctx context.Context) error {
	if c.IgnoreTerm {
		ctx = context.WithoutCancel(ctx)
	}
	if c.Flood > 0 {
		go flood(ctx, c.Flood)
	}
	return web.Run(ctx, c.Listen, web.Faults{Percent: c.Fail, Unhealthy: c.Unhealthy,
		Delay: time.Duration(c.Slow) * time.Millisecond})
}

// floodParts is how many writes a second's bytes are cut into.
const floodParts = 20

// flood writes lines to standard output at an even pace until ctx ends.
func flood(ctx context.Context, bytesPerSecond int) {
	line := append(bytes.Repeat([]byte{'x'}, 99), '\n')
	part := bytes.Repeat(line, max(1, bytesPerSecond/floodParts/len(line)))
	tick := time.NewTicker(time.Second / floodParts)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := os.Stdout.Write(part); err != nil {
				return
			}
		}
	}
}
