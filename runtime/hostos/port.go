package hostos

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
)

const (
	// maxSockets and maxHandles bound what is looked at to find who has a port: lines of the
	// kernel's list of sockets, and open files of all processes.
	maxSockets = 65_536
	maxHandles = 262_144
	// listens is the state of a listening socket in the kernel's list.
	listens = "0A"
)

// PortHolder names the program that listens on a TCP port in this network namespace, with its
// process id; empty: none does, or it is not to be seen. It reads the open files of all
// processes, so it is for when somebody wants to know why a port cannot be opened.
func (m Machine) PortHolder(port int) string {
	inodes := map[string]bool{}
	for _, list := range []string{"net/tcp", "net/tcp6"} {
		if file, err := os.Open(m.proc(list)); err == nil {
			listeningAt(file, port, inodes)
			_ = file.Close()
		}
	}
	if len(inodes) == 0 {
		return ""
	}
	budget := maxHandles
	processes, _ := readNames(m.proc(""), maxHandles)
	for _, pid := range processes {
		if _, err := strconv.Atoi(pid); err != nil {
			continue
		}
		if m.holds(pid, inodes, &budget) {
			return m.programOf(pid)
		}
	}
	return ""
}

// listeningAt adds the inodes of the sockets that listen at a port.
func listeningAt(list io.Reader, port int, inodes map[string]bool) {
	const local, state, inode = 1, 3, 9 // columns
	suffix := fmt.Sprintf(":%04X", port)
	lines := bufio.NewScanner(list)
	for range maxSockets {
		if !lines.Scan() {
			return
		}
		columns := strings.Fields(lines.Text())
		if len(columns) > inode && columns[state] == listens && strings.HasSuffix(columns[local], suffix) {
			inodes["socket:["+columns[inode]+"]"] = true
		}
	}
}

// holds reports whether a process has one of the sockets open.
func (m Machine) holds(pid string, inodes map[string]bool, budget *int) bool {
	dir := m.proc(filepath.Join(pid, "fd"))
	handles, _ := readNames(dir, *budget)
	*budget -= len(handles)
	for _, handle := range handles {
		if is, err := os.Readlink(filepath.Join(dir, handle)); err == nil && inodes[is] {
			return true
		}
	}
	return false
}

// programOf is a process as people know it.
func (m Machine) programOf(pid string) string {
	comm, _ := os.ReadFile(m.proc(filepath.Join(pid, "comm")))
	name := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(bytes.TrimSpace(comm)), ""))
	if name == "" {
		return "process " + pid
	}
	return fmt.Sprintf("%s (process %s)", name, pid)
}

// readNames are the names in a folder, at most limit of them.
func readNames(dir string, limit int) ([]string, error) {
	if limit <= 0 {
		return nil, nil
	}
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = folder.Close() }()
	return folder.Readdirnames(limit)
}
