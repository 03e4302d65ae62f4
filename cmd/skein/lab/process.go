package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process names a process for ever: a pid alone is given to another one after a
// while. The zero value is no process.
type Process struct {
	PID   int
	Start uint64 // clock ticks from the machine's boot to the process's start
}

// identify returns the process that has the pid now.
func identify(pid int) (Process, error) {
	start, _, err := readStat(pid)
	return Process{pid, start}, err
}

// readStat returns start time and state letter of a process.
func readStat(pid int) (start uint64, state byte, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	// The second field is the command in parentheses, which may contain anything.
	end := bytes.LastIndexByte(b, ')')
	if end < 0 {
		return 0, 0, fmt.Errorf("/proc/%d/stat is malformed", pid)
	}
	fields := bytes.Fields(b[end+1:])
	const stateField, startField = 0, 19 // fields 3 and 22 of proc(5)
	if len(fields) <= startField {
		return 0, 0, fmt.Errorf("/proc/%d/stat is malformed", pid)
	}
	start, err = strconv.ParseUint(string(fields[startField]), 10, 64)
	return start, fields[stateField][0], err
}

// alive reports whether the process still runs; a zombie does not.
func (p Process) alive() bool {
	if p.PID == 0 {
		return false
	}
	start, state, err := readStat(p.PID)
	return err == nil && start == p.Start && state != 'Z' && state != 'X'
}

// kill sends SIGKILL, and does nothing if the process is gone. The pidfd is
// opened before the identity is checked, so the signal cannot hit a successor.
func (p Process) kill() error {
	if p.PID == 0 {
		return nil
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("kill process %d: %w", p.PID, err)
	}
	defer unix.Close(fd)
	if !p.alive() {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", p.PID, err)
	}
	return nil
}

// waitGone waits until the process has ended. For the init of a pid namespace
// that means: everything inside has ended.
func (p Process) waitGone(limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for p.alive() {
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d did not end within %s after SIGKILL: is one of its processes stuck on a disk (ps "+
				"shows state D)?", p.PID, limit)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return nil
}

// launched is a process of ours that waits for its orders and does nothing
// before. If we die first, it reads the end of the pipe and exits.
type launched struct {
	Process
	orders *os.File
}

// launch starts the lab's program with "lab" and args, in a session of its own,
// with output appended to a log file.
func launch(binary string, args []string, flags uintptr, log string) (*launched, error) {
	out, err := os.OpenFile(log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer out.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	defer read.Close()
	cmd := exec.Command(binary, append([]string{"lab"}, args...)...)
	cmd.Dir = "/"
	cmd.Env = cleanEnvironment()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{read} // becomes ordersFD
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: flags}
	if err = cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", binary, err), write.Close())
	}
	process, err := identify(cmd.Process.Pid)
	go func() { _ = cmd.Wait() }() // reaps it should it end before we do
	if err != nil {
		return nil, errors.Join(fmt.Errorf("identify process: %w", err), write.Close())
	}
	return &launched{process, write}, nil
}

// ordersFD is where a launched process reads its orders.
const ordersFD = 3

// order hands over the orders and so lets the process begin.
func (p *launched) order(orders any) error {
	b, err := json.Marshal(orders)
	if err == nil {
		_, err = p.orders.Write(b)
	}
	return errors.Join(err, p.orders.Close())
}

// readOrders is the other side of order. An error means that whoever started
// this process is gone or failed.
func readOrders(orders any) error {
	file := os.NewFile(ordersFD, "orders")
	if file == nil {
		return errors.New("no orders: this command is for the lab itself")
	}
	defer file.Close()
	if err := json.NewDecoder(file).Decode(orders); err != nil {
		return fmt.Errorf("read orders: %w", err)
	}
	return nil
}

// cleanEnvironment is what lab processes see: nothing of the caller's settings,
// which may configure an agent.
func cleanEnvironment() []string {
	path := os.Getenv("PATH")
	if path == "" {
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	return []string{"PATH=" + path, "HOME=/root", "LANG=C.UTF-8"}
}
