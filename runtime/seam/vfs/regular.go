package vfs

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// ReadRegular reads a regular file that is no longer than most bytes. It is for files that
// somebody named from outside: a pipe might never answer, a device never end.
func ReadRegular(fsys FS, name string, most int64) ([]byte, error) {
	file, err := fsys.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(data)) > most {
		return nil, fmt.Errorf("%s has more than %d bytes", name, most)
	}
	return data, err
}
