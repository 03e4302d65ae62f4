// Command program is what test containers run; see porttest.Program.
package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fail("want a word")
	}
	word, rest := os.Args[1], os.Args[2:]
	switch word {
	case "exit":
		os.Exit(number(rest))
	case "wait":
		untilTerm()
	case "ignore":
		signal.Ignore(syscall.SIGTERM)
		forever()
	case "say":
		fmt.Println(strings.Join(rest, " "))
	case "describe":
		describe(rest)
	case "alloc":
		alloc(number(rest))
	case "touch":
		touch(rest[0])
	case "hang":
		hang()
	case "flood":
		flood()
	case "serve":
		serve(rest[0])
	case "connect":
		connect(rest[0])
	case "init":
		runAsInit(rest)
	default:
		fail("unknown word " + word)
	}
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(2)
}

func number(args []string) int {
	if len(args) != 1 {
		fail("want one number")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		fail(err.Error())
	}
	return n
}

func untilTerm() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	fmt.Println("waiting")
	<-stop
}

func forever() {
	fmt.Println("waiting")
	for {
		time.Sleep(time.Hour)
	}
}

func describe(args []string) {
	fmt.Println("args=" + strings.Join(args, ","))
	env := os.Environ()
	sort.Strings(env)
	for _, e := range env {
		fmt.Println("env " + e)
	}
	dir, _ := os.Getwd()
	groups, _ := os.Getgroups()
	host, _ := os.Hostname()
	var files syscall.Rlimit
	_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files)
	fmt.Printf("uid=%d gid=%d groups=%v\ncwd=%s\nhost=%s\nnofile=%d\n", os.Getuid(), os.Getgid(), groups, dir, host, files.Max)
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		for _, key := range []string{"CapBnd:", "CapEff:", "NoNewPrivs:", "Seccomp:"} {
			if strings.HasPrefix(line, key) {
				fmt.Print(strings.ReplaceAll(line, "\t", " "))
			}
		}
	}
	score, _ := os.ReadFile("/proc/self/oom_score_adj")
	fmt.Println("oom=" + strings.TrimSpace(string(score)))
	for _, name := range []string{"/etc/resolv.conf", "/etc/hosts", "/proc/kcore", "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"} {
		if f, err := os.Open(name); err == nil {
			text := make([]byte, 60) // /proc/kcore is as large as the address space
			n, _ := f.Read(text)
			fmt.Printf("file %s=%q\n", name, text[:n])
			f.Close()
		}
	}
	for _, name := range []string{"/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"} {
		// Opening for writing is proof enough; the kernel is the machine's.
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			fmt.Println("protected " + name)
			continue
		}
		f.Close()
		fmt.Println("writable " + name)
	}
}

var kept [][]byte

func alloc(mib int) {
	for range mib {
		page := make([]byte, 1<<20)
		for i := 0; i < len(page); i += 4096 {
			page[i] = 1
		}
		kept = append(kept, page)
	}
	fmt.Println("allocated", len(kept))
}

func touch(name string) {
	if err := os.WriteFile(name, []byte("x"), 0o644); err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
}

func hang() {
	if err := exec.Command("/proc/self/exe", "ignore").Start(); err != nil {
		fail(err.Error())
	}
	forever()
}

func flood() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	line := []byte(strings.Repeat("x", 1023) + "\n")
	for {
		select {
		case <-stop:
			return
		case <-time.After(10 * time.Millisecond):
		}
		for range 10 {
			if _, err := os.Stdout.Write(line); err != nil {
				os.Exit(5)
			}
		}
	}
}

func serve(port string) {
	l, err := net.Listen("tcp", ":"+port)
	if err != nil {
		fail(err.Error())
	}
	host, _ := os.Hostname()
	fmt.Println("serving")
	for {
		c, err := l.Accept()
		if err != nil {
			fail(err.Error())
		}
		fmt.Fprintln(c, host)
		c.Close()
	}
}

func connect(path string) {
	c, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		fmt.Println(err)
		os.Exit(4)
	}
	c.Close()
}

// runAsInit is the smallest first process: it runs what follows "--" and passes
// SIGTERM on.
func runAsInit(args []string) {
	if len(args) < 2 || args[0] != "--" {
		fail("want -- command")
	}
	child := exec.Command(args[1], args[2:]...)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	if err := child.Start(); err != nil {
		fail(err.Error())
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() { _ = child.Process.Signal(<-stop) }()
	_ = child.Wait()
	os.Exit(child.ProcessState.ExitCode())
}
