package runner

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"skein/agent/deployment"
	"skein/agent/effects"
	"skein/raftfsm/fleet"
)

// maxTailRead is what is looked at of a log's end, in bytes.
const maxTailRead = 16 << 10

// logTail reads the last lines that a task of this host wrote.
func (r *runners) logTail(_ context.Context, job effects.Job) effects.Answer {
	in, err := deployment.ReadLogTail(job.Input)
	if err != nil {
		return effects.Failed("its question cannot be read: " + err.Error())
	}
	container := in.Container
	if container == "" {
		if container, err = r.lastWriter(in.Task); err != nil {
			return effects.Failed(err.Error())
		}
	}
	name, err := r.LogFile(in.Task, container)
	if err != nil {
		return effects.Failed(err.Error())
	}
	lines, err := lastLines(name)
	if err != nil {
		return effects.Failed(fmt.Sprintf("log of task %s: %v", in.Task, err))
	}
	return done(deployment.EncodeTail(lines))
}

// lastWriter is the container of a task that wrote to its log last.
func (r *runners) lastWriter(task fleet.TaskID) (string, error) {
	name, err := r.LogFile(task, "any")
	if err != nil {
		return "", err
	}
	files, err := os.ReadDir(filepath.Dir(name))
	if err != nil {
		return "", fmt.Errorf("logs of task %s: %w", task, err)
	}
	var newest time.Time
	container := ""
	for _, file := range files {
		info, err := file.Info()
		of, isLog := strings.CutSuffix(file.Name(), filepath.Ext(name))
		if err != nil || !isLog || !info.Mode().IsRegular() || info.Size() == 0 {
			continue
		}
		if container == "" || info.ModTime().After(newest) {
			container, newest = of, info.ModTime()
		}
	}
	if container == "" {
		return "", fmt.Errorf("task %s wrote nothing: %w", task, fs.ErrNotExist)
	}
	return container, nil
}

// lastLines are the lines at the end of a file, the newest last, without empty ones. The
// first may be half of one.
func lastLines(name string) ([]string, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	from := max(0, info.Size()-maxTailRead)
	end := make([]byte, min(info.Size(), maxTailRead))
	n, err := file.ReadAt(end, from)
	if n == 0 && err != nil && info.Size() > 0 {
		return nil, err
	}
	var lines []string
	for line := range strings.SplitSeq(string(end[:n]), "\n") {
		if line = strings.TrimRight(line, "\r "); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, nil
}
