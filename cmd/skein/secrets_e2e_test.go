//go:build e2e

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// keyFiles hold what opens a fleet, and how the secret is read from the file.
var keyFiles = map[string]func([]byte) []byte{
	"data/keys/fleet.key":      func(text []byte) []byte { return text },
	"data/identity/gossip.key": func(text []byte) []byte { return decoded(base64.StdEncoding, string(text)) },
	"data/identity/host.key": func(text []byte) []byte {
		block, _ := pem.Decode(text)
		return block.Bytes
	},
	"etc/operator.token": func(text []byte) []byte {
		return decoded(base64.RawURLEncoding, string(text[bytes.LastIndexByte(text, '.')+1:]))
	},
}

func decoded(encoding *base64.Encoding, text string) []byte {
	raw, err := encoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil
	}
	return raw
}

// noSecretsOnDisk: what opens the fleet lies in its own files and in no other:
// not in the log, a snapshot, the wanted tasks, or what anything prints.
func (f *fleetUnderTest) noSecretsOnDisk() {
	for _, host := range []string{"h1", "h2", "h3"} {
		root := filepath.Join(f.dir, host)
		needles := map[string][]byte{}
		for name, read := range keyFiles {
			text, err := os.ReadFile(filepath.Join(root, name))
			f.must(err)
			raw := read(text)
			if len(raw) < 16 {
				f.Fatalf("%s of %s holds no secret: %d bytes", name, host, len(raw))
			}
			needles[name+" in hex"] = []byte(hex.EncodeToString(raw))
			needles[name+" in base64"] = []byte(base64.StdEncoding.EncodeToString(raw))
			needles[name+" in base64url"] = []byte(base64.RawURLEncoding.EncodeToString(raw))
			needles[name] = raw
		}
		looked := f.grepFiles(root, needles)
		for _, must := range []string{"data/raft/log", "data/tasks/wanted", "log/agent.log"} {
			if !strings.Contains(looked, must) {
				f.Errorf("no file %s of %s was looked at: %s", must, host, looked)
			}
		}
	}
}

// grepFiles fails for each file below root that holds a needle, and returns the
// names of those it read.
func (f *fleetUnderTest) grepFiles(root string, needles map[string][]byte) string {
	var looked []string
	f.must(filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		name, _ := filepath.Rel(root, path)
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone since its folder was read, as temporary files are
			return nil
		case err != nil:
			return err
		case name == "containerd": // images and the tasks' own files
			return filepath.SkipDir
		case keyFiles[name] != nil || !entry.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for secret, needle := range needles {
			if bytes.Contains(text, needle) {
				f.Errorf("%s holds %s", path, secret)
			}
		}
		looked = append(looked, name)
		return err
	}))
	return strings.Join(looked, " ")
}
