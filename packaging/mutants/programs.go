package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// programs are the test programs of packages with all breaks of a draw in them, each off until the environment names
// it. So a package is compiled once for all mutants, and what runs with none of them on is the whole program.
//
// A package's own tests hold its own breaks only: what it imports is then as it always is, and compiled already. All
// other programs hold the breaks of all packages.
type programs struct {
	m        *module
	folder   string
	nice     int
	overlays map[string]string // by package path; of the breaks of all packages: ""
	made     map[string]string // by package path, and whether for its own breaks
}

// The environment of a test program: which break is on, and the file that is told which breaks it comes to.
const (
	envOn    = "SKEIN_MUTANT"
	envReach = "SKEIN_MUTANT_REACH"
)

// switches is the file that each package with a break gets. A place is told when it is first come to.
const switches = `package %s

import (
	"fmt"
	"os"
	"strconv"
	"sync"
)

var (
	skeinMutant, _ = strconv.ParseUint(os.Getenv("` + envOn + `"), 16, 64)
	skeinReach     = os.Getenv("` + envReach + `")
	skeinTold      sync.Map
)

func skeinOn(id uint64) bool {
	if skeinReach != "" {
		skeinTell(id)
	}
	return id == skeinMutant
}

func skeinTell(id uint64) {
	if _, told := skeinTold.LoadOrStore(id, true); told {
		return
	}
	f, err := os.OpenFile(skeinReach, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(f, "%%08x\n", id)
	f.Close()
}

func skeinPick[T any](on bool, broken, whole T) T {
	if on {
		return broken
	}
	return whole
}

var _ = skeinPick[int]
`

// put puts the breaks of a draw into the programs, and tells those that do not compile.
func (p *programs) put(ctx context.Context, drawn []site) (unfit []string, err error) {
	p.made, p.overlays = map[string]string{}, map[string]string{}
	byPackage := map[string][]site{}
	for _, s := range drawn {
		byPackage["skein/"+s.Package] = append(byPackage["skein/"+s.Package], s)
	}
	all := map[string]string{}
	for _, path := range slices.Sorted(maps.Keys(byPackage)) {
		replaced, err := p.switchedFiles(byPackage[path])
		if err != nil {
			return nil, err
		}
		maps.Copy(all, replaced)
		if err = p.lay(path, replaced); err != nil {
			return nil, err
		}
		out, err := p.goCommand(ctx, "build", "-overlay", p.overlays[path], path).CombinedOutput()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			found := blamed(string(out), p.m.root, replaced)
			if len(found) == 0 {
				return nil, fmt.Errorf("%s does not compile with nothing broken: %w: %s", path, err, out)
			}
			unfit = append(unfit, found...)
		}
	}
	return unfit, p.lay("", all)
}

// switchedFiles writes the files of one package with their breaks, and tells which files they replace.
func (p *programs) switchedFiles(sites []site) (replaced map[string]string, err error) {
	byFile := map[string][]site{}
	for _, s := range sites {
		byFile[s.path] = append(byFile[s.path], s)
	}
	replaced = map[string]string{}
	for path, of := range byFile {
		source, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		order(of)
		to := filepath.Join(p.folder, of[0].ID+".go")
		if err = os.WriteFile(to, []byte(switched(string(source), 0, len(source), of)), 0o600); err != nil {
			return nil, err
		}
		replaced[path] = to
		helper := filepath.Join(p.folder, fileName(of[0].Package)+"_switches.go")
		if err = os.WriteFile(helper, fmt.Appendf(nil, switches, packageName(source)), 0o600); err != nil {
			return nil, err
		}
		replaced[filepath.Join(filepath.Dir(path), "skein_switches.go")] = helper
	}
	return replaced, nil
}

// lay makes the overlay of a package, or of all.
func (p *programs) lay(path string, replaced map[string]string) error {
	files, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return err
	}
	p.overlays[path] = filepath.Join(p.folder, fileName(path)+"_overlay.json")
	return os.WriteFile(p.overlays[path], files, 0o600)
}

func fileName(path string) string { return strings.ReplaceAll(path, "/", "_") }

var packageClause = regexp.MustCompile(`(?m)^package (\w+)`)

func packageName(source []byte) string { return string(packageClause.FindSubmatch(source)[1]) }

var compilerError = regexp.MustCompile(`(?m)^(\S+\.go):(\d+)(?::\d+)?: `)

// blamed are the breaks whose marks stand last before the errors of the compiler, or first after them.
func blamed(errs, root string, replaced map[string]string) (ids []string) {
	seen := map[string]bool{}
	for _, found := range compilerError.FindAllStringSubmatch(errs, -1) {
		path := found[1]
		if !filepath.IsAbs(path) {
			path = filepath.Join(root, path)
		}
		if to, ok := replaced[path]; ok {
			path = to
		}
		text, err := os.ReadFile(path)
		if err != nil {
			continue // not a file of ours
		}
		line, _ := strconv.Atoi(found[2]) // the pattern has digits only
		lines := strings.SplitAfterN(string(text), "\n", line+1)
		before, after := strings.Join(lines[:min(line, len(lines))], ""), strings.Join(lines[min(line, len(lines)):], "")
		at := strings.LastIndex(before, mark)
		piece := before
		if at < 0 {
			piece, at = after, strings.Index(after, mark)
		}
		if at < 0 {
			continue
		}
		if id := piece[at+len(mark):][:8]; !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

func (p *programs) goCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "nice", append([]string{"-n", strconv.Itoa(p.nice), "go"}, args...)...)
	cmd.Dir = p.m.root
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the compilers end with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// of is the test program of a package, with its own breaks only or with those of all.
func (p *programs) of(ctx context.Context, path string, own bool) (string, error) {
	name, overlay := fileName(path)+".test", p.overlays[""]
	if own {
		name, overlay = fileName(path)+"_own.test", p.overlays[path]
	}
	if made, ok := p.made[name]; ok {
		return made, nil
	}
	program := filepath.Join(p.folder, name)
	args := []string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", overlay, "-o", program, path}
	if out, err := p.goCommand(ctx, args...).CombinedOutput(); err != nil {
		return "", errors.Join(ctx.Err(), fmt.Errorf("compile the tests of %s: %w: %s", path, err, out))
	}
	p.made[name] = program
	return program, nil
}
