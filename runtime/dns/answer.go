package dns

import (
	"math/rand/v2"
	"net/netip"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// taskTTL is how long clients may keep where tasks are, in seconds: about as long as a
	// task drains at least before it is signalled.
	taskTTL = 2
	// noneTTL is how long clients may keep that a name is not there.
	noneTTL = 2
	// maxTargets bounds an answer. Over UDP it is less, so that nobody has to ask again by
	// TCP only to be given more hosts than one can use.
	maxTargets    = 512
	maxTargetsUDP = 16
)

// answer is the reply to a query that is Skein's to answer; ok is false for one that the
// host's resolvers are to answer.
func (n *Names) answer(q *query, udp bool) (r reply, ok bool) {
	if !n.own(q.name) {
		return reply{}, false
	}
	r = reply{own: true}
	if q.question.Class != dnsmessage.ClassINET && q.question.Class != dnsmessage.ClassANY {
		r.code = dnsmessage.RCodeRefused
		return r, true
	}
	f := n.find(q.name)
	if !f.exists {
		r.code = dnsmessage.RCodeNameError
	}
	most := maxTargets
	if udp {
		most = maxTargetsUDP
	}
	name := q.question.Name.String()
	switch q.question.Type {
	case dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeALL:
		r.answers = addresses(name, draw(f.addrs, most), q.question.Type)
	case dnsmessage.TypeSRV:
		r.answers, r.additionals = services(name, f.owner, draw(f.srv, most))
	case dnsmessage.TypeSOA:
		if q.name == Zone {
			r.answers = []record{n.soa()}
		}
	default:
	}
	if len(r.answers) == 0 {
		r.authority = []record{n.soa()}
	}
	return r, true
}

// draw is at most n of a list, any of them, in any order: so clients that take the first
// are spread.
//
// It costs as much as is drawn, however long the list is: moved is a shuffle that has begun,
// of a list that is never copied.
func draw[E any](list []E, n int) []E {
	n = min(n, len(list))
	drawn, moved := make([]E, n), make(map[int]int, n)
	at := func(i int) int {
		if was, ok := moved[i]; ok {
			return was
		}
		return i
	}
	for i := range n {
		j := i + rand.IntN(len(list)-i)
		drawn[i] = list[at(j)]
		moved[j] = at(i)
	}
	return drawn
}

func addresses(name string, list []netip.Addr, kind dnsmessage.Type) []record {
	var records []record
	for _, addr := range list {
		if kind == dnsmessage.TypeALL || addr.Is4() == (kind == dnsmessage.TypeA) {
			records = append(records, address(name, addr, taskTTL))
		}
	}
	return records
}

func address(name string, addr netip.Addr, ttl uint32) record {
	if addr.Is4() {
		return record{name, ttl, &dnsmessage.AResource{A: addr.As4()}}
	}
	return record{name, ttl, &dnsmessage.AAAAResource{AAAA: addr.As16()}}
}

// services are records of ports, with the addresses of what they name.
func services(name string, s *service, list []target) (answers, additionals []record) {
	for _, t := range list {
		host := t.task + "." + s.label + "." + Zone
		at, err := dnsmessage.NewName(host)
		if err != nil {
			continue // too long: nobody could ask for it either
		}
		answers = append(answers, record{name, taskTTL,
			&dnsmessage.SRVResource{Priority: 0, Weight: t.weight, Port: t.addr.Port(), Target: at}})
		additionals = append(additionals, address(host, t.addr.Addr(), taskTTL))
	}
	return answers, additionals
}

// soa says how long a client may keep that there is nothing.
func (n *Names) soa() record {
	zone := dnsmessage.MustNewName(Zone)
	return record{Zone, noneTTL, &dnsmessage.SOAResource{
		NS: zone, MBox: dnsmessage.MustNewName("hostmaster." + Zone), Serial: uint32(n.index), Refresh: 60, Retry: 10,
		Expire: 3_600, MinTTL: noneTTL,
	}}
}
