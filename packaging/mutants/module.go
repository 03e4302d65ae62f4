package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// module is this module as the go command lists it, and the simulator's place in it.
type module struct {
	root     string
	tree     string // a hash over all Go files: results of another tree are told apart
	packages []listed
}

// listed is a package in the words of go list.
type listed struct {
	ImportPath, Dir                    string
	GoFiles, TestGoFiles, XTestGoFiles []string
	Imports, TestImports, XTestImports []string
	Deps                               []string
}

const simulator = "skein/agent/sim"

func loadModule(ctx context.Context) (*module, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-json", "skein/...").Output()
	if err != nil {
		return nil, goError("list the packages", err)
	}
	m := &module{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err = dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read the list of packages: %w", err)
		}
		m.packages = append(m.packages, p)
	}
	mod, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, goError("find the module", err)
	}
	m.root = strings.TrimSpace(string(mod))
	m.tree, err = m.hash()
	return m, err
}

// goError adds to an error of the go command what it said.
func goError(what string, err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%s: %w: %s", what, err, bytes.TrimSpace(exit.Stderr))
	}
	return fmt.Errorf("%s: %w", what, err)
}

func (m *module) hash() (string, error) {
	sum := sha256.New()
	for _, p := range m.packages {
		for _, name := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
			text, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				return "", err
			}
			fmt.Fprintf(sum, "%s/%s %d\n", p.ImportPath, name, len(text))
			sum.Write(text)
		}
	}
	return fmt.Sprintf("%x", sum.Sum(nil)[:6]), nil
}

// drawnFrom says whether a package is what is tested, and not what tests.
func drawnFrom(path string) bool {
	switch {
	case path == simulator || strings.HasPrefix(path, simulator+"/"):
		return false
	case strings.HasSuffix(path, "test") || path == "skein/runtime/fake":
		return false
	}
	return !strings.HasPrefix(path, "skein/packaging")
}

// simulated says whether the simulator's program holds the package at all.
func (m *module) simulated(path string) bool {
	return slices.Contains(m.packages[m.at(simulator)].Deps, path)
}

func (m *module) tested(path string) bool {
	p := m.packages[m.at(path)]
	return len(p.TestGoFiles)+len(p.XTestGoFiles) > 0
}

// importers are the packages with tests that import path, or whose tests do. The simulator is counted apart.
func (m *module) importers(path string) (paths []string) {
	for _, p := range m.packages {
		if p.ImportPath != path && m.tested(p.ImportPath) &&
			p.ImportPath != simulator && !strings.HasPrefix(p.ImportPath, simulator+"/") &&
			slices.Contains(slices.Concat(p.Imports, p.TestImports, p.XTestImports), path) {
			paths = append(paths, p.ImportPath)
		}
	}
	return paths
}

func (m *module) at(path string) int {
	return slices.IndexFunc(m.packages, func(p listed) bool { return p.ImportPath == path })
}

func (m *module) dir(path string) string { return m.packages[m.at(path)].Dir }
