package converge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/vfs"
)

const (
	maxLog    = 10 << 20 // bytes of a container's log; one older file of that size is kept
	logSuffix = ".log"
)

func logPath(dir string, task fleet.TaskID, container string) string {
	return dir + "/" + string(task) + "/" + container + logSuffix
}

// logFolders lists the log folders there are, with their sizes. It looks at the
// logs of all tasks that are not removed yet, so it is not for every few seconds.
func logFolders(fsys vfs.FS, dir string) ([]LogFolder, error) {
	folders, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var found []LogFolder
	for _, folder := range folders {
		if !folder.IsDir() || !taskIDForm.MatchString(folder.Name()) {
			continue
		}
		files, err := fsys.ReadDir(dir + "/" + folder.Name())
		if err != nil {
			continue // removed meanwhile
		}
		f := LogFolder{Task: fleet.TaskID(folder.Name())}
		for _, file := range files {
			if info, err := file.Info(); err == nil {
				f.Bytes += info.Size()
			}
		}
		found = append(found, f)
	}
	return found, nil
}

// rotateLogs shortens those of the logs that have grown too long. The file stays
// the one that the shim appends to (O_APPEND), so nothing needs to be told; what
// is written between the end of the copy and the truncation is lost.
func rotateLogs(ctx context.Context, fsys vfs.FS, files []string) error {
	var errs []error
	for _, name := range files {
		if ctx.Err() != nil {
			return errors.Join(append(errs, ctx.Err())...)
		}
		info, err := fsys.Stat(name)
		switch {
		case errors.Is(err, os.ErrNotExist): // nothing is written to it yet
		case err != nil:
			errs = append(errs, err)
		case info.Size() > maxLog:
			errs = append(errs, rotateLog(fsys, name))
		}
	}
	return errors.Join(errs...)
}

func rotateLog(fsys vfs.FS, name string) error {
	log, err := fsys.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("rotate %s: %w", name, err)
	}
	defer log.Close()
	copied := copyTail(fsys, log, name+".1")
	if copied != nil {
		_ = fsys.Remove(name + ".1") // a full disk: the room matters more
	}
	if err := log.Truncate(0); err != nil {
		return errors.Join(copied, fmt.Errorf("rotate %s: %w", name, err))
	}
	return copied
}

// copyTail copies the last maxLog bytes of a log, up to its end as it is when
// the copy comes there.
func copyTail(fsys vfs.FS, log vfs.File, to string) (err error) {
	info, err := log.Stat()
	if err != nil {
		return err
	}
	if _, err = log.Seek(max(0, info.Size()-maxLog), io.SeekStart); err != nil {
		return err
	}
	older, err := fsys.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, older.Close()) }()
	_, err = io.Copy(older, io.LimitReader(log, 2*maxLog)) // a flood must not keep us here
	return err
}
