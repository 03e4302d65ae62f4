package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// marker says that a folder was made by a lab and may be removed with it.
const marker = ".skein-lab"

// hostFolders are where a host keeps what outlives a boot.
type hostFolders struct {
	root, etc, data, containerd, logs string

	binary           string
	agent            string // the program of the host's agent: a link to binary, or to another build of it
	agentConfig      string
	containerdConfig string
	operatorToken    string
}

func foldersOf(dir, host string) hostFolders {
	root := filepath.Join(dir, host)
	return hostFolders{
		root: root, etc: filepath.Join(root, "etc"), data: filepath.Join(root, "data"),
		containerd: filepath.Join(root, "containerd"), logs: filepath.Join(root, "log"),
		binary:           labBinary(dir),
		agent:            filepath.Join(binFolder(dir), host),
		agentConfig:      filepath.Join(root, "etc", "agent.toml"),
		containerdConfig: filepath.Join(root, "etc", "containerd.toml"),
		operatorToken:    filepath.Join(root, "etc", "operator.token"),
	}
}

func (f hostFolders) log(service string) string { return filepath.Join(f.logs, service+".log") }

// labBinary is the lab's own copy of the program: building a new one does not
// change a fleet under test.
func labBinary(dir string) string { return filepath.Join(binFolder(dir), "skein") }

func binFolder(dir string) string { return filepath.Join(dir, "bin") }

// makeFolder makes the lab's data folder, and refuses one that holds something else.
func (l *Lab) makeFolder() error {
	entries, err := os.ReadDir(l.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("open data folder: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("data folder %s is not empty and was not made by a lab: name another one", l.dir)
	}
	if err := os.MkdirAll(binFolder(l.dir), 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(l.dir, marker), []byte(l.name+"\n"), 0o600); err != nil {
		return fmt.Errorf("mark data folder: %w", err)
	}
	return copyFile(l.binary, labBinary(l.dir), 0o755)
}

// removeFolder removes a data folder of this lab; one without its mark stays.
func (l *Lab) removeFolder(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, marker))
	if errors.Is(err, os.ErrNotExist) {
		// Up makes the folder, then its mark: what it was killed between is empty.
		_ = os.Remove(binFolder(dir))
		_ = os.Remove(dir)
		removeDataRoot(dir)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read mark of data folder: %w", err)
	}
	if string(b) != l.name+"\n" {
		return nil
	}
	// The mark goes last, so that a removal that is cut short can go on.
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("open data folder: %w", err)
	}
	for _, e := range entries {
		if e.Name() == marker {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("remove data folder: %w", err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove data folder: %w", err)
	}
	removeDataRoot(dir)
	return nil
}

// removeDataRoot removes the common parent of data folders unless another lab
// lives there.
func removeDataRoot(dir string) {
	if filepath.Dir(dir) == dataRoot {
		_ = os.Remove(dataRoot)
	}
}

func (f hostFolders) make() error {
	for _, dir := range []string{f.etc, f.data, f.containerd, f.logs, filepath.Dir(f.agent)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make folders of host: %w", err)
		}
	}
	return linkTo(f.agent, f.binary)
}

// linkTo makes a link to a program beside it, in place of what was there, at once.
func linkTo(link, program string) error {
	next := link + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("link program: %w", err)
	}
	if err := os.Symlink(filepath.Base(program), next); err != nil {
		return fmt.Errorf("link program: %w", err)
	}
	if err := os.Rename(next, link); err != nil {
		return fmt.Errorf("link program: %w", err)
	}
	return nil
}

func copyFile(from, to string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copy program: %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return fmt.Errorf("copy program: %w", err)
	}
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(fmt.Errorf("copy program: %w", err), out.Close())
	}
	return out.Close()
}
