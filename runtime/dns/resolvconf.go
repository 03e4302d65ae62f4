package dns

import (
	"bytes"
	"fmt"
	"net/netip"
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
