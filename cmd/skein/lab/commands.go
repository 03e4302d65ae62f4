package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
)

// Commands are the command lines the lab runs inside its hosts; each is a
// program with its arguments. They are the three calls by which every fleet
// begins (cmd/skein/DESIGN.md "Init and join"), and the agent.
type Commands interface {
	// Agent runs until it is killed.
	Agent(binary, config string) []string
	// Init makes a new fleet with this host as its first.
	Init(binary, config string) []string
	// Token prints a join token as the last line of its output.
	Token(binary, config string) []string
	// Join lets this host into the fleet of the agent at peer.
	Join(binary, config string, peer netip.AddrPort, token string) []string
}

// SkeinCommands are those of the skein command line.
type SkeinCommands struct{}

// Agent is `skein agent --config FILE`.
func (SkeinCommands) Agent(binary, config string) []string {
	return []string{binary, "agent", "--config", config}
}

// Init is `skein init --config FILE`.
func (SkeinCommands) Init(binary, config string) []string {
	return []string{binary, "init", "--config", config}
}

// Token is `skein token create --socket SOCKET`.
func (SkeinCommands) Token(binary, _ string) []string {
	return []string{binary, "token", "create", "--socket", AgentSocket}
}

// Join is `skein join ADDR TOKEN --config FILE`.
func (SkeinCommands) Join(binary, config string, peer netip.AddrPort, token string) []string {
	return []string{binary, "join", peer.String(), token, "--config", config}
}

const (
	tokenTry   = 200 * time.Millisecond
	agentPoll  = 20 * time.Millisecond
	joinTries  = 5
	joinPause  = time.Second
	maxOutput  = 64 << 10
	outputTail = 2 << 10
)

// found makes the first host a fleet of one and starts its agent.
func (l *Lab) found(ctx context.Context, s *State, host *Host) error {
	folders := foldersOf(s.Dir, host.Name)
	if _, err := l.runInside(ctx, host, l.commands.Init(folders.binary, folders.agentConfig)); err != nil {
		return fmt.Errorf("make a fleet on %s: %w", host.Name, err)
	}
	return l.startJoined(ctx, s, host)
}

// admit lets a host into the fleet by way of one that is in it, and starts its agent.
func (l *Lab) admit(ctx context.Context, s *State, host, by *Host) error {
	folders := foldersOf(s.Dir, host.Name)
	token, err := l.token(ctx, s, by)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		_, err = l.runInside(ctx, host,
			l.commands.Join(folders.binary, folders.agentConfig, netip.AddrPortFrom(by.Addr, PeerPort), token))
		if err == nil {
			break
		}
		if try == joinTries || ctx.Err() != nil {
			return fmt.Errorf("let %s join by way of %s: %w", host.Name, by.Name, err)
		}
		// The fleet may just be electing; a token stays good for the same key.
		pause(ctx, joinPause)
	}
	if err := shareOperatorToken(foldersOf(s.Dir, by.Name), folders); err != nil {
		return err
	}
	return l.startJoined(ctx, s, host)
}

func (l *Lab) startJoined(ctx context.Context, s *State, host *Host) error {
	host.Joined = true
	if err := l.save(s); err != nil {
		return err
	}
	if _, err := l.ask(ctx, host, request{Op: opStart, Service: agentService}); err != nil {
		return fmt.Errorf("start agent of %s: %w", host.Name, err)
	}
	return l.waitAgent(ctx, s, host)
}

// waitAgent waits until the agent takes connections at its peer port.
func (l *Lab) waitAgent(ctx context.Context, s *State, host *Host) error {
	ctx, cancel := context.WithTimeout(ctx, agentTimeout)
	defer cancel()
	dialer := net.Dialer{Timeout: time.Second}
	for {
		conn, err := dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(host.Addr, PeerPort).String())
		if err == nil {
			return conn.Close()
		}
		pause(ctx, agentPoll)
		if ctx.Err() != nil {
			return fmt.Errorf("wait for agent of %s: %w\nlast lines of its log:\n%s", host.Name, err,
				tail(foldersOf(s.Dir, host.Name).log(agentService), outputTail))
		}
	}
}

// token asks a host's agent for a join token until it gives one: the agent may
// just be starting.
func (l *Lab) token(ctx context.Context, s *State, by *Host) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, agentTimeout)
	defer cancel()
	folders := foldersOf(s.Dir, by.Name)
	for {
		out, err := l.runInside(ctx, by, l.commands.Token(folders.binary, folders.agentConfig))
		lines := strings.Fields(out)
		if err == nil && len(lines) > 0 {
			return lines[len(lines)-1], nil
		}
		if err == nil {
			err = errors.New("it printed none")
		}
		pause(ctx, tokenTry)
		if ctx.Err() != nil {
			return "", fmt.Errorf("get a join token from %s: %w\nlast lines of its agent's log:\n%s", by.Name, err,
				tail(folders.log(agentService), outputTail))
		}
	}
}

// shareOperatorToken copies the operator token, if there is one: operators of a
// lab write by way of any host.
func shareOperatorToken(from, to hostFolders) error {
	b, err := os.ReadFile(from.operatorToken)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read operator token: %w", err)
	}
	if err := os.WriteFile(to.operatorToken, b, 0o600); err != nil {
		return fmt.Errorf("write operator token: %w", err)
	}
	return nil
}

// runInside runs a command in a host and returns what it printed; an error holds
// the end of its output.
func (l *Lab) runInside(ctx context.Context, host *Host, argv []string) (string, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return "", fmt.Errorf("make pipe: %w", err)
	}
	printed := make(chan string, 1)
	go func() {
		defer read.Close()
		var out capped
		_, _ = io.Copy(&out, read)
		printed <- out.String()
	}()
	code, err := l.execIn(ctx, host, argv, "/", [3]*os.File{nil, write, write})
	_ = write.Close()
	_ = read.SetReadDeadline(time.Now().Add(time.Second)) // should a child of the command hold the pipe
	out := <-printed
	if err != nil {
		return out, err
	}
	if code != 0 {
		return out, fmt.Errorf("%s ended with exit code %d: %s", argv[0], code,
			strings.TrimSpace(out[max(0, len(out)-outputTail):]))
	}
	return out, nil
}

// capped keeps the first maxOutput bytes.
type capped struct{ bytes.Buffer }

func (c *capped) Write(p []byte) (int, error) {
	_, err := c.Buffer.Write(p[:min(len(p), maxOutput-c.Len())])
	return len(p), err
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
