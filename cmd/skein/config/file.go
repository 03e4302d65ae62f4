package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/pelletier/go-toml/v2"
)

// maxFileBytes bounds the file: a configuration is a page, not a database.
const maxFileBytes = 64 << 10

// File is a configuration file that decoded cleanly; it resolves flags that
// were given neither on the command line nor in the environment.
type File struct {
	path   string
	text   []byte
	values map[string]any
}

// ReadFile reads and checks the shape of a file: unknown keys and wrong types
// are refused with key and line.
func ReadFile(path string) (*File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if info.Size() > maxFileBytes {
		return nil, fmt.Errorf("read configuration %s: %d bytes, at most %d are allowed", path, info.Size(), maxFileBytes)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, text)
}

// Parse is ReadFile on text; path only names it in errors.
func Parse(path string, text []byte) (*File, error) {
	var shape Config
	decoder := toml.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&shape); err != nil {
		return nil, explain(path, err)
	}
	file := &File{path: path, text: text}
	if err := toml.Unmarshal(text, &file.values); err != nil {
		return nil, explain(path, err)
	}
	return file, nil
}

// explain turns the decoder's errors into one line: file, line, key, reason.
func explain(path string, err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		first := unknown.Errors[0]
		line, _ := first.Position()
		return fmt.Errorf("%s line %d: unknown key %q; allowed are %s", path, line, strings.Join(first.Key(), "."),
			strings.Join(Keys(), ", "))
	}
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		line, column := wrong.Position()
		if key := strings.Join(wrong.Key(), "."); key != "" {
			if want := wanted(key); want != "" && strings.HasPrefix(strings.TrimPrefix(wrong.Error(), "toml: "), "cannot ") {
				return fmt.Errorf("%s line %d: %s: wrong type: it must be %s", path, line, key, want)
			}
			return fmt.Errorf("%s line %d: %s: %s", path, line, key, strings.TrimPrefix(wrong.Error(), "toml: "))
		}
		return fmt.Errorf("%s line %d column %d: %s", path, line, column, strings.TrimPrefix(wrong.Error(), "toml: "))
	}
	return fmt.Errorf("%s: %w", path, err)
}

// Line returns the line on which a key ("containerd.address") stands, or 0.
func (f *File) Line(key string) int {
	table, name := "", key
	if at := strings.LastIndex(key, "."); at >= 0 {
		table, name = key[:at], key[at+1:]
	}
	current := ""
	for number, line := range strings.Split(string(f.text), "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			current = strings.Trim(line, "[] ")
			continue
		}
		left, _, found := strings.Cut(line, "=")
		if found && current == table && strings.TrimSpace(left) == name {
			return number + 1
		}
	}
	return 0
}

// Explain adds file and line to a KeyError whose key the file sets.
func (f *File) Explain(err error) error {
	var key *KeyError
	if f == nil || !errors.As(err, &key) {
		return err
	}
	if line := f.Line(key.Key); line > 0 {
		return fmt.Errorf("%s line %d: %w", f.path, line, err)
	}
	return err
}

// Validate satisfies kong.Resolver; the shape was checked by Parse.
func (f *File) Validate(*kong.Application) error { return nil }

// Resolve satisfies kong.Resolver: the file's value of a flag, or nil.
func (f *File) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, key := range keys {
		if key.flag != flag.Name {
			continue
		}
		if _, set := os.LookupEnv(Env(flag.Name)); set {
			return nil, nil // the environment wins over the file
		}
		value := lookup(f.values, key.path)
		switch v := value.(type) {
		case map[string]any:
			pairs := make([]string, 0, len(v))
			for name, item := range v {
				pairs = append(pairs, fmt.Sprintf("%s=%v", name, item))
			}
			return strings.Join(pairs, ";"), nil
		case []any:
			items := make([]string, 0, len(v))
			for _, item := range v {
				items = append(items, fmt.Sprint(item))
			}
			return strings.Join(items, ","), nil
		case int64:
			return strconv.FormatInt(v, 10), nil
		}
		return value, nil
	}
	return nil, nil
}

func lookup(values map[string]any, path []string) any {
	value, ok := values[path[0]]
	if !ok || len(path) == 1 {
		return value
	}
	table, _ := value.(map[string]any)
	return lookup(table, path[1:])
}
