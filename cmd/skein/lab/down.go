package lab

import (
	"context"
	"errors"
	"fmt"
	"os"

	"skein/runtime/seam/vfs"
)

// Down removes every trace of the lab, whatever an earlier command left of it:
// processes, namespaces, links, nftables table, mounts, loop devices, cgroups,
// folders. Without a lab of that name it does nothing. Errors: ErrBusy; else
// what could not be removed, and then the state stays so that Down can go on.
func (l *Lab) Down(ctx context.Context) error {
	if err := checkRoot(); err != nil {
		return err
	}
	lock, err := l.lock(ctx, "down")
	if err != nil {
		return err
	}
	defer lock.release()
	s, err := l.load()
	if err != nil {
		s = nil // by names, then
	}
	if err := l.sweep(s); err != nil {
		return fmt.Errorf("remove lab %s: %w", l.name, err)
	}
	if err := lock.remove(); err != nil {
		return fmt.Errorf("remove lab %s: %w", l.name, err)
	}
	l.removeRunRoot()
	return nil
}

// sweep removes all that belongs to the lab, found by the state (which may be
// nil) and by names. Every step is tried, also after one that failed.
func (l *Lab) sweep(s *State) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	dirs := []string{l.dir}
	if s != nil && s.Dir != l.dir {
		dirs = append(dirs, s.Dir)
	}
	var errs []error
	for _, dir := range dirs {
		errs = append(errs, thawBelow(dir))
	}
	errs = append(errs, l.endProcesses(s), emptyCgroup(all, l.cgroup(), removalTimeout))
	errs = append(errs, l.removeLinks(), l.removeTable())
	for _, dir := range dirs {
		errs = append(errs, endOrphans(binFolder(dir)), unmountBelow(dir), detachLoops(dir))
	}
	errs = append(errs, removeCgroup(all, l.cgroup(), removalTimeout))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	removeEmptyCgroupRoot(all)
	for _, dir := range dirs {
		if err := l.removeFolder(dir); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(l.socketFolder()); err != nil {
		return fmt.Errorf("remove sockets: %w", err)
	}
	// The state goes last. Its unfinished twin is left by a death while writing.
	for _, file := range []string{l.stateFile() + vfs.TempSuffix, l.stateFile()} {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove state: %w", err)
		}
	}
	return nil
}

// endProcesses kills the inits, and with each all of its host, and the registry.
func (l *Lab) endProcesses(s *State) error {
	if s == nil {
		return nil
	}
	all, err := hierarchies()
	if err != nil {
		return err
	}
	processes := []Process{s.Registry}
	for i := range s.Hosts {
		processes = append(processes, s.Hosts[i].Init)
	}
	var errs []error
	for _, p := range processes {
		errs = append(errs, p.kill())
	}
	_ = thawCgroup(all, l.cgroup()) // a paused host does not even die
	for i := range s.Hosts {
		_ = thawCgroup(all, l.hostCgroup(s.Hosts[i].Name))
	}
	for _, p := range processes {
		errs = append(errs, p.waitGone(removalTimeout))
	}
	return errors.Join(errs...)
}

// removeEmptyCgroupRoot removes the parent of all labs unless another lab is there.
func removeEmptyCgroupRoot(all []hierarchy) {
	for _, h := range all {
		_ = os.Remove(h.mount + cgroupRoot)
	}
}

// removeRunRoot removes the folder of all labs when this was the last one. The
// common lock goes first; a lab that is just being made has it open and makes
// its state file, so that the folder stays.
func (l *Lab) removeRunRoot() {
	entries, err := os.ReadDir(l.root)
	if err != nil || len(entries) > 1 || len(entries) == 1 && entries[0].Name() != ".lock" {
		return
	}
	lock, _, err := tryLock(l.root+"/.lock", "skein lab down")
	if err != nil || lock == nil {
		return
	}
	defer lock.release()
	_ = lock.remove()
	_ = os.Remove(l.root)
}
