package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"

	"skein/agent/trust"
	"skein/cmd/skein/config"
	"skein/cmd/skein/node"
)

// agentCommand runs this host's agent.
type agentCommand struct {
	config.Flags
	Dev bool `help:"A fleet of this one host, for a laptop: made on the first start, everything on loopback, data in /var/lib/skein-dev."`
}

// devConfig turns what was not configured otherwise to loopback and a folder of
// its own.
func (c *agentCommand) devConfig() {
	replace := func(value *string, usual, dev string) {
		if *value == usual {
			*value = dev
		}
	}
	replace(&c.DataDir, "/var/lib/skein", "/var/lib/skein-dev")
	replace(&c.PeerListen, "0.0.0.0:7700", "127.0.0.1:7700")
	replace(&c.GossipListen, "0.0.0.0:7701", "127.0.0.1:7701")
	replace(&c.OperatorTokenFile, "/etc/skein/operator.token", "/var/lib/skein-dev/operator.token")
}

// Run runs the agent until it is told to stop.
func (c *agentCommand) Run(ctx context.Context) error {
	if c.Dev {
		c.devConfig()
		if _, err := makeFleet(&c.Config, "dev"); err != nil && !errors.Is(err, trust.ErrIdentityExists) {
			return err
		}
	}
	log := newLogger(os.Stderr, c.Level())
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	hurry, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	context.AfterFunc(ctx, func() {
		notify(daemon.SdNotifyStopping)
		again := make(chan os.Signal, 1)
		signal.Notify(again, os.Interrupt, syscall.SIGTERM)
		defer signal.Stop(again)
		select {
		case <-again:
			end()
		case <-hurry.Done():
		}
	})
	err := node.Run(ctx, node.Options{
		Config: &c.Config, Version: version, Log: log, Hurry: hurry,
		Ready: func() {
			notify(daemon.SdNotifyReady)
			go feedWatchdog(ctx)
		},
	})
	if errors.Is(err, trust.ErrNoIdentity) {
		return fmt.Errorf("this host is in no fleet yet: `skein init` makes one, `skein join ADDR TOKEN` joins one, `skein " +
			"agent --dev` is one by itself")
	}
	return err
}

// notify tells systemd, where it listens.
func notify(state string) { _, _ = daemon.SdNotify(false, state) }
