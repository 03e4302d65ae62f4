package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Upgrade has a host's agent run another program from its next start on, and restarts the
// agent: an upgrade, or the way back. Containers run on, clients of the host are not
// refused. An agent that is held down stays down.
func (l *Lab) Upgrade(ctx context.Context, name, program string) error {
	return l.onHost(ctx, "upgrade", name, func(s *State, host *Host) error {
		if err := mustRun(host); err != nil {
			return err
		}
		kept, err := keepProgram(s.Dir, program)
		if err != nil {
			return err
		}
		if err = linkTo(foldersOf(s.Dir, name).agent, kept); err != nil {
			return err
		}
		return l.restart(ctx, host)
	})
}

// restart restarts the agent with its files kept open. An init of a build that cannot do that
// ends the agent, which starts at once and whose clients are refused meanwhile.
func (l *Lab) restart(ctx context.Context, host *Host) error {
	_, err := l.ask(ctx, host, request{Op: opRestart, Service: agentService})
	if err != nil && strings.Contains(err.Error(), unknownRequest) {
		_, err = l.ask(ctx, host, request{Op: opKill, Service: agentService})
	}
	return err
}

// keepProgram copies a program to the lab's, under the hash of what it is, and
// returns where it is.
func keepProgram(dir, program string) (string, error) {
	file, err := os.Open(program)
	if err != nil {
		return "", fmt.Errorf("read program: %w", err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", fmt.Errorf("read program: %w", err)
	}
	kept := filepath.Join(binFolder(dir), "skein-"+hex.EncodeToString(sum.Sum(nil)[:6]))
	if _, err := os.Stat(kept); err == nil {
		return kept, nil
	}
	// A copy that was cut short must not count as the program.
	part := kept + ".part"
	if err := copyFile(program, part, 0o755); err != nil {
		return "", err
	}
	return kept, os.Rename(part, kept)
}
