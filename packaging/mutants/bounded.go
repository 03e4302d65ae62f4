package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// maxMemory bounds what a program under test may hold: a broken bound may fill the machine.
const maxMemory = 4 << 30 // bytes

// limits of a program under test.
type limits struct {
	time   time.Duration
	memory int // bytes
	nice   int // how much others come before it
}

// outcome is how a program under test ended.
type outcome struct {
	failed string // what failed, "" if nothing did
	took   time.Duration
	said   string // the last lines
}

var failure = regexp.MustCompile(`^\s*--- FAIL: (\S+)`)

// bounded runs a test program at a low priority until it ends, its first test fails or its time has passed. The process
// group ends with it, by its id.
func bounded(
	ctx context.Context, dir string, limit limits, environment []string, program string, args ...string,
) (outcome, error) {
	// Processor time is bounded too: what escapes the process group and spins ends by itself.
	processor := int((4 * limit.time).Seconds()) + 1
	shell := fmt.Sprintf(`ulimit -d %d -t %d -c 0; exec nice -n %d "$@"`, limit.memory>>10, processor, limit.nice)
	cmd := exec.Command("bash", append([]string{"-c", shell, "bash", program}, args...)...)
	cmd.Dir, cmd.Env = dir, environment
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	cmd.WaitDelay = time.Second
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return outcome{}, err
	}
	kill := func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // an error: it has ended
	first := make(chan string, 1)
	said := make(chan string, 1)
	go func() { said <- watch(out, first) }()
	ended := make(chan error, 1)
	go func() {
		ended <- cmd.Wait()
		in.Close()
	}()
	timer := time.NewTimer(limit.time)
	defer timer.Stop()
	var o outcome
	var err error
	select {
	case err = <-ended:
		kill() // what it left behind
	case o.failed = <-first:
		kill()
		<-ended
	case <-timer.C:
		o.failed = "timeout"
		kill()
		<-ended
	case <-ctx.Done():
		kill()
		<-ended
		return outcome{}, ctx.Err()
	}
	o.took, o.said = time.Since(start), <-said
	if err != nil && o.failed == "" {
		select {
		case o.failed = <-first:
		default:
			o.failed = "program: " + err.Error()
		}
	}
	return o, nil
}

// watch reads what a program says, keeps the end of it and tells the first failure.
func watch(out io.Reader, first chan<- string) string {
	var last []string
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if len(line) > 1000 {
			line = line[:1000]
		}
		if found := failure.FindStringSubmatch(line); found != nil {
			select {
			case first <- found[1]:
			default:
			}
		}
		if last = append(last, line); len(last) > 40 {
			last = last[1:]
		}
		if err != nil {
			return strings.Join(last, "")
		}
	}
}
