package network

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Connections counts the TCP connections to ports in the network namespace of a process,
// which may be the host's. It reads the kernel's table of that namespace.
func (n *Network) Connections(ctx context.Context, pid int, ports []int) (int, error) {
	open := 0
	for _, family := range []string{"tcp", "tcp6"} {
		more, err := countIn(ctx, fmt.Sprintf("/proc/%d/net/%s", pid, family), ports)
		if err != nil {
			return 0, fmt.Errorf("count connections of process %d: %w", pid, err)
		}
		open += more
	}
	return open, nil
}

func countIn(ctx context.Context, table string, ports []int) (int, error) {
	f, err := os.Open(table)
	if errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(table, "6") {
		return 0, nil // a kernel without IPv6
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return countOpen(ctx, f, ports)
}

// The states of a connection over which nothing comes or goes any more, or which is not
// to a port but from it, as numbered in the kernel's tcp_states.h.
var stateOver = map[string]bool{
	"02": true, // SYN_SENT
	"05": true, // FIN_WAIT2: the task has ended its side, and all that it sent has arrived
	"06": true, // TIME_WAIT
	"07": true, // CLOSE
	"0A": true, // LISTEN
}

// countOpen counts the connections to local ports in a table of /proc/net.
func countOpen(ctx context.Context, table io.Reader, ports []int) (int, error) {
	open := 0
	lines := bufio.NewScanner(table)
	lines.Scan() // the names of the columns
	for lines.Scan() {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		columns := strings.Fields(lines.Text()) // number, local address, remote address, state
		if len(columns) < 4 {
			return 0, fmt.Errorf("a line %q without a state", lines.Text())
		}
		_, hex, _ := strings.Cut(columns[1], ":")
		local, err := strconv.ParseUint(hex, 16, 16)
		if err != nil {
			return 0, fmt.Errorf("a line %q without a local port: %w", lines.Text(), err)
		}
		if slices.Contains(ports, int(local)) && !stateOver[columns[3]] {
			open++
		}
	}
	return open, lines.Err()
}
