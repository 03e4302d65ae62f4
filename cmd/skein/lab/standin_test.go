//go:build e2e

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// The test binary plays every part of a lab: the lab's own inits and registry,
// and a stand-in for the agent's command line, so that the lab is tested alone.
func TestMain(m *testing.M) {
	args := os.Args[1:]
	switch {
	case len(args) > 1 && args[0] == "lab" && args[1] == "init":
		os.Exit(InitMain(args[2:]))
	case len(args) > 1 && args[0] == "lab" && args[1] == "registry":
		os.Exit(RegistryMain())
	case len(args) > 1 && args[0] == "standin":
		if err := standIn(args[1], args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "stand-in:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type standInCommands struct{}

func (standInCommands) Agent(binary, config string) []string {
	return []string{binary, "standin", "agent", config}
}
func (standInCommands) Init(binary, config string) []string {
	return []string{binary, "standin", "init", config}
}
func (standInCommands) Token(binary, config string) []string {
	return []string{binary, "standin", "token", config}
}
func (standInCommands) Join(binary, config string, peer netip.AddrPort, token string) []string {
	return []string{binary, "standin", "join", config, peer.String(), token}
}

const standInToken = "skein1.stand-in"

func standIn(what string, args []string) error {
	switch what {
	case "up":
		return standInUp(args[0], args[1])
	case "dial":
		return standInDial(args[0], args[1])
	case "hold":
		return standInHold(args[0])
	case "sleep":
		<-time.After(time.Minute)
		return nil
	}
	b, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var c agentConfig
	if err := toml.Unmarshal(b, &c); err != nil {
		return err
	}
	identity := filepath.Join(c.DataDir, "identity")
	switch what {
	case "init":
		return os.WriteFile(identity, []byte("first"), 0o600)
	case "token":
		conn, err := net.Dial("unix", c.Socket)
		if err != nil {
			return err
		}
		fmt.Println("a token for one host:")
		fmt.Println(standInToken)
		return conn.Close()
	case "join":
		if args[2] != standInToken {
			return errors.New("wrong token")
		}
		conn, err := net.DialTimeout("tcp", args[1], time.Second)
		if err != nil {
			return err
		}
		return errors.Join(conn.Close(), os.WriteFile(identity, []byte("joined"), 0o600))
	case "agent":
		return standInAgent(c, identity)
	}
	return fmt.Errorf("unknown part %q", what)
}

func standInAgent(c agentConfig, identity string) error {
	if _, err := os.Stat(identity); err != nil {
		return err
	}
	_ = os.Remove(c.Socket)
	unix, err := net.Listen("unix", c.Socket)
	if err != nil {
		return err
	}
	go echo(unix)
	status, err := net.Listen("tcp", c.StatusListen)
	if err != nil {
		return err
	}
	go echo(status)
	peer, err := net.Listen("tcp", c.PeerListen)
	if err != nil {
		return err
	}
	fmt.Println("stand-in agent listens")
	echo(peer)
	return nil
}

func echo(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			_, _ = io.Copy(conn, conn)
		}()
	}
}

func standInUp(name, dir string) error {
	l, err := New(Options{Name: name, Dir: dir, Commands: standInCommands{}})
	if err != nil {
		return err
	}
	return l.Up(context.Background(), UpOptions{Zones: []string{"a", "b"}})
}

// standInDial dials again and again for a while and prints what happened each time.
func standInDial(addr, seconds string) error {
	n, err := strconv.Atoi(seconds)
	if err != nil {
		return err
	}
	again := time.Tick(20 * time.Millisecond)
	for end := time.Now().Add(time.Duration(n) * time.Second); time.Now().Before(end); <-again {
		conn, err := net.DialTimeout("tcp", addr, 300*time.Millisecond)
		fmt.Println(outcome(err))
		if err == nil {
			_ = conn.Close()
		}
	}
	return nil
}

// standInHold keeps one connection busy and prints how it ends.
func standInHold(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Println("holding")
	for range time.Tick(5 * time.Millisecond) {
		_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
		_, err := conn.Write([]byte("x"))
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
		}
		if err != nil {
			fmt.Println(outcome(err))
			return nil
		}
	}
	return nil
}

func outcome(err error) string {
	var timeout net.Error
	switch {
	case err == nil:
		return "connected"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	case errors.Is(err, io.EOF):
		return "closed"
	case errors.Is(err, syscall.EHOSTUNREACH):
		return "unreachable"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	return err.Error()
}
