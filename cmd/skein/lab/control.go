package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// Requests of the control socket of a host's init, and of the registry.
const (
	opStatus  = "status"
	opStart   = "start"   // a service
	opRestart = "restart" // a service, with its files kept open
	opStop    = "stop"    // a service, until it is started
	opKill    = "kill"    // a service
	opRun     = "run"     // a command inside the host
	opListen  = "listen"
	opRefuse  = "refuse"
	opSlow    = "slow"
)

// unknownRequest begins what an init says of a request that it does not know.
const unknownRequest = "unknown request"

// maxControlBytes bounds a request or answer; each is one packet.
const maxControlBytes = 64 << 10

type request struct {
	Op      string
	Service string   `json:",omitempty"`
	Hold    bool     `json:",omitempty"`
	Argv    []string `json:",omitempty"`
	Dir     string   `json:",omitempty"`
	Env     []string `json:",omitempty"`
	Rate    int      `json:",omitempty"`
}

type response struct {
	Error    string          `json:",omitempty"`
	Exit     int             `json:",omitempty"`
	Services []serviceStatus `json:",omitempty"`
}

type serviceStatus struct {
	Name     string
	PID      int // inside the host; 0 while it does not run
	Held     bool
	Starts   int
	LastExit string
}

// answerer serves one request; its context ends when the asker goes.
type answerer func(ctx context.Context, ask request, files []*os.File) response

// serveControl answers one request a connection until the listener is closed.
func serveControl(ctx context.Context, listener *net.UnixListener, answer answerer) error {
	for {
		conn, err := listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accept control connection: %w", err)
		}
		if err != nil { // out of files, say: the host must not die of it
			time.Sleep(10 * time.Millisecond)
			continue
		}
		go serveRequest(ctx, conn, answer)
	}
}

func serveRequest(ctx context.Context, conn *net.UnixConn, answer answerer) {
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(controlTimeout))
	ask, files, err := receive(conn)
	defer func() {
		for _, file := range files {
			file.Close()
		}
	}()
	if err != nil {
		send(conn, response{Error: err.Error()})
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with conn
		_, _ = conn.Read(make([]byte, 1))
		cancel()
	}()
	send(conn, answer(ctx, ask, files))
}

// receive reads a request with the files that came along.
func receive(conn *net.UnixConn) (request, []*os.File, error) {
	var ask request
	b, oob := make([]byte, maxControlBytes), make([]byte, unix.CmsgSpace(3*4))
	n, oobn, _, _, err := conn.ReadMsgUnix(b, oob)
	if err != nil {
		return ask, nil, fmt.Errorf("read request: %w", err)
	}
	files, err := filesOf(oob[:oobn])
	if err != nil {
		return ask, files, err
	}
	if err := json.Unmarshal(b[:n], &ask); err != nil {
		return ask, files, fmt.Errorf("read request: %w", err)
	}
	return ask, files, nil
}

func filesOf(oob []byte) ([]*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("read files: %w", err)
	}
	var files []*os.File
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return files, fmt.Errorf("read files: %w", err)
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "passed"))
		}
	}
	return files, nil
}

// send answers; an asker that has gone needs none.
func send(conn *net.UnixConn, answer response) {
	if b, err := json.Marshal(answer); err == nil {
		_, _ = conn.Write(b)
	}
}

// askControl sends one request and waits for the answer, up to limit or, where
// limit is zero, until ctx ends.
func askControl(
	ctx context.Context, socket string, ask request, files []*os.File, limit time.Duration,
) (response, error) {
	var answer response
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	plain, err := (&net.Dialer{}).DialContext(ctx, "unixpacket", socket)
	if err != nil {
		return answer, err
	}
	conn := plain.(*net.UnixConn)
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	b, err := json.Marshal(ask)
	if err != nil {
		return answer, fmt.Errorf("write request: %w", err)
	}
	var oob []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, file := range files {
			fds[i] = int(file.Fd())
		}
		oob = unix.UnixRights(fds...)
	}
	if _, _, err = conn.WriteMsgUnix(b, oob, nil); err != nil {
		return answer, fmt.Errorf("send request: %w", err)
	}
	reply := make([]byte, maxControlBytes)
	n, err := conn.Read(reply)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return answer, fmt.Errorf("read answer: %w", err)
	}
	if err := json.Unmarshal(reply[:n], &answer); err != nil {
		return answer, fmt.Errorf("read answer: %w", err)
	}
	if answer.Error != "" {
		return answer, errors.New(answer.Error)
	}
	return answer, nil
}

func lookPath(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", program, err)
	}
	return path, nil
}
