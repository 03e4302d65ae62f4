package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// OperatorToken returns the operator token that lies on the lab's hosts, empty
// while none has one.
func (l *Lab) OperatorToken() (string, error) {
	s, err := l.load()
	if err != nil {
		return "", err
	}
	for i := range s.Hosts {
		text, err := os.ReadFile(foldersOf(s.Dir, s.Hosts[i].Name).operatorToken)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("read operator token: %w", err)
		}
		return strings.TrimSpace(string(text)), nil
	}
	return "", nil
}
