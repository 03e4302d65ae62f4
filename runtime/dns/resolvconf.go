package dns

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// Resolvers is what a resolv.conf says.
type Resolvers struct {
	Servers []netip.Addr
	Search  []string // as "search" or "domain" has them; the last line counts
	Options []string
}

// maxResolvConf bounds a resolv.conf: more is none.
const maxResolvConf = 64 << 10

// ReadResolvers reads a resolv.conf. What it does not know is left out, as resolvers do.
func ReadResolvers(text []byte) Resolvers {
	var r Resolvers
	if len(text) > maxResolvConf {
		return r
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		line, _, _ = strings.Cut(line, ";")
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			if addr, err := netip.ParseAddr(words[1]); err == nil {
				r.Servers = append(r.Servers, addr.Unmap())
			}
		case "search", "domain":
			r.Search = words[1:]
		case "options":
			r.Options = append(r.Options, words[1:]...)
		}
	}
	return r
}

// ForTasks is the resolv.conf of tasks, whose one resolver is server. Search domains and
// options are the host's, but that aliases are looked for first.
//
// It names no second resolver. Some clients (musl's) ask all at once and believe the
// first answer: the host's resolver would tell them that a service is not there.
func (r Resolvers) ForTasks(server netip.Addr) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Answered by the agent of this host, which asks the host's resolvers.\nnameserver %s\n", server)
	search := append([]string{strings.TrimSuffix(aliasZone, ".")}, r.Search...)
	fmt.Fprintf(&b, "search %s\n", strings.Join(search, " "))
	options := slices.Clone(r.Options)
	for _, own := range []string{"timeout:3", "attempts:4"} {
		name, _, _ := strings.Cut(own, ":")
		if !slices.ContainsFunc(options, func(o string) bool { return strings.HasPrefix(o, name+":") }) {
			options = append(options, own)
		}
	}
	fmt.Fprintf(&b, "options %s\n", strings.Join(options, " "))
	return b.Bytes()
}

// writeShared replaces a file that containers have mounted, so that they see what it
// becomes: it stays the same file, and whoever reads it meanwhile finds the old text or
// the new one, never none. Text is filled up with empty lines for that.
func writeShared(name string, text []byte) error {
	const block = 4_096
	padded := append(slices.Clone(text), bytes.Repeat([]byte{'\n'}, block-len(text)%block)...)
	if old, err := os.ReadFile(name); err == nil &&
		bytes.Equal(bytes.TrimRight(old, "\n"), bytes.TrimRight(padded, "\n")) {
		return nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(padded, 0)
	if err == nil {
		err = f.Truncate(int64(len(padded)))
	}
	return errors.Join(err, f.Close())
}
