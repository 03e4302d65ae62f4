package converge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"skein/raftfsm/fleet"
	"skein/runtime/vfs"
)

const (
	maxLog    = 10 << 20 // bytes of a container's log; one older file of that size is kept
	logSuffix = ".log"
)

func logPath(dir string, task fleet.TaskID, container string) string {
	return dir + "/" + string(task) + "/" + container + logSuffix
}

// eachLog calls f with the files of every task folder.
func eachLog(fsys vfs.FS, dir string, f func(task fleet.TaskID, file fs.FileInfo)) error {
	folders, err := fsys.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if !folder.IsDir() || !taskIDForm.MatchString(folder.Name()) {
			continue
		}
		files, err := fsys.ReadDir(dir + "/" + folder.Name())
		if err != nil {
			continue // removed meanwhile
		}
		for _, file := range files {
			if info, err := file.Info(); err == nil {
				f(fleet.TaskID(folder.Name()), info)
			}
		}
	}
	return nil
}

// logFolders lists the log folders there are, with their sizes.
func logFolders(fsys vfs.FS, dir string) ([]LogFolder, error) {
	var found []LogFolder
	err := eachLog(fsys, dir, func(task fleet.TaskID, file fs.FileInfo) {
		if n := len(found); n == 0 || found[n-1].Task != task {
			found = append(found, LogFolder{Task: task})
		}
		found[len(found)-1].Bytes += file.Size()
	})
	return found, err
}

// rotateLogs shortens every log that has grown too long. The file stays the one
// that the shim appends to (O_APPEND), so nothing needs to be told; what is
// written between the end of the copy and the truncation is lost.
func rotateLogs(ctx context.Context, fsys vfs.FS, dir string) error {
	var long []string
	err := eachLog(fsys, dir, func(task fleet.TaskID, file fs.FileInfo) {
		if file.Size() > maxLog && strings.HasSuffix(file.Name(), logSuffix) {
			long = append(long, dir+"/"+string(task)+"/"+file.Name())
		}
	})
	if err != nil {
		return err
	}
	for _, name := range long {
		if ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		err = errors.Join(err, rotateLog(fsys, name))
	}
	return err
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
	if _, err := log.Seek(max(0, info.Size()-maxLog), io.SeekStart); err != nil {
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
