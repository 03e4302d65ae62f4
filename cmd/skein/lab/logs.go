package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// LogOptions say which log and how much.
type LogOptions struct {
	Service string // "agent" (empty), "containerd" or "init"
	Lines   int    // from the end; 0 is 100
	Follow  bool   // until ctx ends
}

const (
	defaultLines = 100
	// maxLineBytes times Lines bounds what is read back to find the lines.
	maxLineBytes = 4 << 10
	followPoll   = 200 * time.Millisecond
)

// Logs writes the end of a host's log. It takes no lock and works on dead hosts.
func (l *Lab) Logs(ctx context.Context, w io.Writer, name string, o LogOptions) error {
	s, err := l.load()
	if err != nil {
		return err
	}
	host, err := s.host(name)
	if err != nil {
		return err
	}
	switch o.Service {
	case "":
		o.Service = agentService
	case agentService, runtimeService, "init":
	default:
		return fmt.Errorf("log of %q: there are agent, containerd and init", o.Service)
	}
	if o.Lines <= 0 {
		o.Lines = defaultLines
	}
	file, err := os.Open(foldersOf(s.Dir, host.Name).log(o.Service))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %s has no log of %s yet", ErrState, name, o.Service)
	}
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer file.Close()
	if err := seekLines(file, o.Lines); err != nil {
		return err
	}
	for {
		if _, err := io.Copy(w, file); err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		if !o.Follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followPoll):
		}
	}
}

// seekLines places the file so that n lines are left to read, or as many as fit
// the bound.
func seekLines(file *os.File, n int) error {
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	from := max(0, info.Size()-int64(n)*maxLineBytes)
	b := make([]byte, info.Size()-from)
	if _, err = file.ReadAt(b, from); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read log: %w", err)
	}
	at := len(b)
	for at > 0 && n >= 0 {
		at--
		if b[at] == '\n' && at != len(b)-1 {
			n--
			if n == 0 {
				at++
				break
			}
		}
	}
	_, err = file.Seek(from+int64(at), io.SeekStart)
	return err
}
