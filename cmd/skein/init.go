package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"skein/agent/trust"
	"skein/cmd/skein/config"
	"skein/cmd/skein/node"
	"skein/runtime/seam/vfs"
)

// initCommand makes a fleet with this host as its first.
type initCommand struct {
	config.Flags
	FleetName string `help:"Name of the fleet, for people." placeholder:"NAME"`
}

// Run makes the fleet's authority and this host's identity; the agent commits
// the fleet when it starts.
func (c *initCommand) Run() error {
	text, err := makeFleet(&c.Config, c.FleetName)
	if err != nil {
		return err
	}
	fmt.Printf("this host is %s, the first of a new fleet; start its agent: systemctl start skein\n", c.Name)
	fmt.Printf("operator token, also in %s (keep it: who has it may write):\n%s\n", c.OperatorTokenFile, text)
	return nil
}

// makeFleet writes the identity and the operator token of a new fleet.
func makeFleet(c *config.Config, fleetName string) (operatorToken string, err error) {
	addr, err := node.PeerAddress(c)
	if err != nil {
		return "", err
	}
	// A token that cannot be kept is told before there is a fleet to be locked out of.
	if err = vfs.CheckReplaceable(vfs.OS, c.OperatorTokenFile); err != nil {
		return "", fmt.Errorf("operator token file: %w", err)
	}
	_, bootstrap, err := trust.Init(trust.InitOptions{
		FS: vfs.OS, DataDir: c.DataDir, FleetName: fleetName,
		Name: c.Name, Zone: c.Zone, Addr: addr, Attributes: c.Attributes, Now: time.Now(),
	})
	if err != nil {
		return "", err
	}
	if err := writeOperatorToken(c.OperatorTokenFile, bootstrap.OperatorText); err != nil {
		return "", fmt.Errorf("%w; the fleet is made, keep its operator token: %s", err, bootstrap.OperatorText)
	}
	return bootstrap.OperatorText, nil
}

func writeOperatorToken(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write operator token: %w", err)
	}
	if err := vfs.WriteFileAtomic(vfs.OS, path, []byte(text+"\n"), fs.FileMode(0o600)); err != nil {
		return fmt.Errorf("write operator token: %w", err)
	}
	return nil
}
