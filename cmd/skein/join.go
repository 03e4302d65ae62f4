package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"skein/agent/trust"
	"skein/cmd/skein/config"
	"skein/cmd/skein/node"
	"skein/runtime/seam/clock"
	"skein/runtime/seam/vfs"
)

// joinCommand makes this host a member of a fleet.
type joinCommand struct {
	config.Flags
	Addr  string `arg:"" help:"Peer port of any host of the fleet, like 10.0.0.5:7700; 7700 if none is named."`
	Token string `arg:"" help:"Join token, from skein token create." env:"SKEIN_JOIN_TOKEN"`
}

// Run asks to be let in and writes the identity; repeating it is safe.
func (c *joinCommand) Run(ctx context.Context) error {
	token, err := trust.ParseToken(c.Token)
	if err != nil {
		return &usageError{err}
	}
	by, err := config.DialAddress(c.Addr, config.PeerPort)
	if err != nil {
		return &usageError{err}
	}
	addr, err := node.PeerAddress(&c.Config)
	if err != nil {
		return err
	}
	joiner := trust.Joiner{FS: vfs.OS, DataDir: c.DataDir, Clock: clock.System(),
		Log: newLogger(os.Stderr, slog.LevelWarn)}
	identity, err := joiner.Join(ctx, by, token,
		trust.Request{Name: c.Name, Zone: c.Zone, Addr: addr, Attributes: c.Attributes})
	if err != nil {
		return err
	}
	fmt.Printf("this host is %s (%s) of the fleet; start its agent: systemctl start skein\n", c.Name, identity.Host())
	return nil
}
