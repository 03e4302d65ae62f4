package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"skein/cmd/skein/config"
	"skein/raftfsm/fleet"
	"skein/runtime/seam/vfs"
)

// accessLogCommand shows what a host wrote down of requests to the fleet's listeners. It reads
// the files, so that it works also where no agent does.
type accessLogCommand struct {
	output
	DataDir string `default:"/var/lib/skein" help:"Data folder of the agent whose log it is." placeholder:"FOLDER"`
	Limit   int    `short:"n" default:"50" help:"How many: the newest." placeholder:"N"`
	Failed  bool   `help:"Only those that failed: no answer, or 500 and more."`
	Service string `help:"Only those that a task of this service took." placeholder:"SERVICE"`
}

// maxAccessLine bounds one line; most have 300 bytes.
const maxAccessLine = 64 << 10

// accessLine is one line of the log.
type accessLine struct {
	Time     time.Time `json:"time"`
	Listener string    `json:"listener"`
	Group    string    `json:"targetGroup"`
	Revision string    `json:"revision"`
	Task     string    `json:"task"`
	Client   string    `json:"client"`
	Method   string    `json:"method"`
	Host     string    `json:"host"`
	Path     string    `json:"path"`
	Status   int       `json:"status"`
	TookMS   float64   `json:"tookMs"`
	Dropped  uint64    `json:"dropped"`
}

// Run prints the newest lines, the oldest of them first.
func (c *accessLogCommand) Run(_ context.Context) error {
	lines, err := c.newest(filepath.Join(c.DataDir, config.AccessLogName))
	if err != nil {
		return err
	}
	return c.print(os.Stdout, lines)
}

// newest are the newest lines that are wanted of a log and of what it was before.
func (c *accessLogCommand) newest(name string) ([][]byte, error) {
	newest := newestLines{limit: max(c.Limit, 1)}
	found := false
	for _, file := range vfs.RotatedNames(name, config.AccessLogFiles) {
		err := c.read(file, &newest)
		switch {
		case err == nil:
			found = true
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	if !found {
		return nil, fmt.Errorf("there is no %s: no request has come in by this host, access_log.sample is 0, or "+
			"--data-dir is another", name)
	}
	return newest.all(), nil
}

// read takes what is wanted of one file.
func (c *accessLogCommand) read(name string, into *newestLines) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxAccessLine)
	for lines.Scan() {
		var line accessLine
		if json.Unmarshal(lines.Bytes(), &line) != nil || line.Time.IsZero() || !c.wants(&line) {
			continue // of a line that a crash cut off there is only the beginning
		}
		into.add(bytes.Clone(lines.Bytes()))
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

func (c *accessLogCommand) wants(line *accessLine) bool {
	if c.Failed && line.Status >= 100 && line.Status < 500 {
		return false
	}
	service, _ := fleet.RevisionID(line.Revision).Split()
	return c.Service == "" || service == c.Service
}

// newestLines are the last that were added.
type newestLines struct {
	limit int
	lines [][]byte
}

func (n *newestLines) add(line []byte) {
	n.lines = append(n.lines, line)
	if len(n.lines) >= 2*n.limit {
		n.lines = append(n.lines[:0], n.lines[len(n.lines)-n.limit:]...)
	}
}

func (n *newestLines) all() [][]byte { return n.lines[max(len(n.lines)-n.limit, 0):] }

func (c *accessLogCommand) print(w io.Writer, lines [][]byte) error {
	if c.JSON {
		for _, line := range lines {
			if _, err := fmt.Fprintf(w, "%s\n", line); err != nil {
				return err
			}
		}
		return nil
	}
	t := newTable(w, "TIME", "CLIENT", "STATUS", "MS", "REVISION", "TASK", "REQUEST")
	for _, text := range lines {
		var line accessLine
		if err := json.Unmarshal(text, &line); err != nil {
			return err
		}
		if line.Dropped > 0 {
			t.row("", "", "", "", "", "", fmt.Sprintf("(%d more were not written)", line.Dropped))
		}
		t.row(line.Time.Local().Format("15:04:05.000"), line.Client, statusOrNone(line.Status),
			strconv.FormatFloat(line.TookMS, 'f', 1, 64), orDash(line.Revision), orDash(short(line.Task)),
			line.Method+" "+line.Host+line.Path)
	}
	return t.flush()
}

// statusOrNone is a status, or that there was no answer.
func statusOrNone(status int) string {
	if status == 0 {
		return "none"
	}
	return strconv.Itoa(status)
}
