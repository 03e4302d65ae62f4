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
	// Search is as "search" or "domain" has it; the last line counts. The root is left out: each
	// name is looked for as it is anyway, and musl fails where the root is searched.
	Search  []string
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
			r.Search = slices.DeleteFunc(words[1:], func(domain string) bool { return domain == "." })
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
	r.Servers = []netip.Addr{server}
	r.Search = append([]string{strings.TrimSuffix(aliasZone, ".")}, r.Search...)
	r.Options = slices.Clone(r.Options)
	for _, own := range []string{"timeout:3", "attempts:4"} {
		name, _, _ := strings.Cut(own, ":")
		if !slices.ContainsFunc(r.Options, func(o string) bool { return strings.HasPrefix(o, name+":") }) {
			r.Options = append(r.Options, own)
		}
	}
	return r.write("Answered by the agent of this host, which asks the host's resolvers.")
}

// write is a resolv.conf that says this, below a comment.
func (r Resolvers) write(comment string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n", comment)
	for _, server := range r.Servers {
		fmt.Fprintf(&b, "nameserver %s\n", server)
	}
	if len(r.Search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(r.Search, " "))
	}
	if len(r.Options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(r.Options, " "))
	}
	return b.Bytes()
}
