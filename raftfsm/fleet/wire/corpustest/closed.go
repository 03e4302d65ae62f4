package corpustest

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// closedFile lists what is recorded of a format that is closed. It is written once.
func closedFile(format int) string { return fmt.Sprintf("testdata/closed/format-%d", format) }

// CheckClosed says what has changed of formats that are closed, of all corpora below a
// folder of the repository: recorded things and what they mean, fields, and entries.
// With recording it writes down what a format is that was closed just now.
func CheckClosed(repository fs.FS, closed int, recording bool) (problems []string, err error) {
	for format := 1; format <= closed; format++ {
		now, err := recorded(repository, format)
		if err != nil {
			return nil, err
		}
		was, err := os.ReadFile(closedFile(format))
		switch {
		case os.IsNotExist(err) && recording:
			err = writeClosed(closedFile(format), now)
		case os.IsNotExist(err):
			problems = append(problems, fmt.Sprintf("format %d is closed, and what it is was never written down: run the test "+
				"with -record, and commit %s", format, closedFile(format)))
			continue
		case err == nil:
			problems = append(problems, missingLines(string(was), now)...)
		}
		if err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(closedFile(closed + 1)); err == nil {
		problems = append(problems, fmt.Sprintf("format %d was closed: agents of it run, and it cannot be opened again",
			closed+1))
	}
	return problems, nil
}

func writeClosed(name string, lines []string) error {
	if err := os.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

func missingLines(was string, now []string) (problems []string) {
	for line := range strings.Lines(was) {
		if line = strings.TrimSuffix(line, "\n"); !slices.Contains(now, line) {
			problems = append(problems, fmt.Sprintf("%q is of a closed format, and is changed or gone: agents that run read "+
				"and write it so; put it back, and add what is new with the next format", line))
		}
	}
	return problems
}

// recorded is what stands of a format in all corpora, a line for each thing.
func recorded(repository fs.FS, format int) (lines []string, err error) {
	err = fs.WalkDir(repository, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			if strings.HasPrefix(entry.Name(), ".") && name != "." {
				return fs.SkipDir
			}
			return err
		}
		more, err := linesOf(repository, name, format)
		lines = append(lines, more...)
		return err
	})
	slices.Sort(lines)
	return lines, err
}

// linesOf is what a file holds of a format.
func linesOf(repository fs.FS, name string, format int) (lines []string, err error) {
	dir, base := path.Split(name)
	inCorpus := strings.HasSuffix(dir, fmt.Sprintf("%s/format-%d/", root, format))
	listed := strings.HasSuffix(dir, root+"/") && base == "fields"
	entries := strings.HasSuffix(name, "testdata/entries.golden")
	if !inCorpus && !listed && !entries {
		return nil, nil
	}
	b, err := fs.ReadFile(repository, name)
	if err != nil {
		return nil, err
	}
	if inCorpus {
		return []string{name + " " + digest(b)[:16]}, nil
	}
	for scan := bufio.NewScanner(bytes.NewReader(b)); scan.Scan(); {
		switch words := strings.Fields(scan.Text()); {
		case entries:
			lines = append(lines, name+" "+digest(scan.Bytes())[:16])
		case len(words) >= 4:
			if since, err := strconv.Atoi(words[3]); err == nil && since <= format {
				lines = append(lines, name+" "+strings.Join(words[:4], " "))
			}
		}
	}
	return lines, nil
}
