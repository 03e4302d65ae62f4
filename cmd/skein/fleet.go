package main

import (
	"context"
	"fmt"
	"net/http"

	"skein/agent/api/types"
)

// fleetCommand is about the fleet as a whole.
type fleetCommand struct {
	Finalize fleetFinalizeCommand `cmd:"" help:"End an upgrade at once: use what every agent reads; older agents are refused from then on." example:"skein fleet finalize"`
}

type fleetFinalizeCommand struct {
	target
	write
	Force bool `help:"Even though agents of hosts that do not vote read less: they keep what they run, and get no task that needs more."`
}

// Run raises the fleet's format and says to what.
func (c *fleetFinalizeCommand) Run(ctx context.Context) error {
	agent, err := c.write.client(ctx, &c.target)
	if err != nil {
		return err
	}
	var answer types.FleetWritten
	if err := agent.Send(ctx, http.MethodPost, "/v1/fleet/finalize", types.ForceBody{Force: c.Force},
		&answer); err != nil {
		return err
	}
	fmt.Printf("the fleet is at format %d: agents that read less are refused\n", answer.Fleet.Format)
	return nil
}
