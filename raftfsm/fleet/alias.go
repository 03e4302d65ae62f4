package fleet

import (
	"fmt"
	"strings"
)

// checkAliasFields refuses what cannot be an alias, whatever else is there.
func checkAliasFields(l *Listener) error {
	a := l.Alias
	if a == nil {
		return nil
	}
	if l.Protocol != ListenHTTP && l.Protocol != ListenTCP {
		return field("protocol", "is %s: tasks reach an alias by HTTP or TCP", l.Protocol)
	}
	if l.ProxyProtocol {
		return field("proxyProtocol", "is of balancers in front: tasks come to an alias themselves")
	}
	return first(checkAliasName("alias", a.Name), checkRange("alias.number", a.Number, 1, MaxAliasNumber))
}

// checkAliasName allows names of DNS, in lower case, but those that DNS answers by services.
func checkAliasName(at, name string) error {
	if len(name) > MaxHostName {
		return field(at, "is %d bytes long: at most %d are allowed", len(name), MaxHostName)
	}
	for label := range strings.SplitSeq(name, ".") {
		if !isLabel(label) {
			return field(at, "%s is no name: it is like b or b.shop.internal, of a-z, 0-9, - and _", quoted(name))
		}
	}
	if name == "skein" || strings.HasSuffix(name, ".skein") {
		return field(at, "%s is a name that services have by themselves: choose one that does not end in .skein",
			quoted(name))
	}
	return nil
}

// isLabel reports whether a text is one part of a name of DNS, in lower case.
func isLabel(v string) bool {
	if v == "" || len(v) > 63 || v[0] == '-' || v[len(v)-1] == '-' {
		return false
	}
	for _, c := range []byte(v) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// checkAliasTaken refuses a name and port that is another listener's.
func (s *State) checkAliasTaken(l *Listener) error {
	for other := range s.Listeners() {
		if other.Alias != nil && other.Name != l.Name && other.Port == l.Port && other.Alias.Name == l.Alias.Name {
			if other.Owner != "" {
				return refuse(ErrPortTaken, "listener %s: alias %s:%d is that of service %s", l.Name, l.Alias.Name, l.Port,
					other.Owner)
			}
			return refuse(ErrPortTaken, "listener %s: alias %s:%d is that of listener %s", l.Name, l.Alias.Name, l.Port,
				other.Name)
		}
	}
	return nil
}

// aliasOf is the alias of a listener under a name. It keeps the number that the name has;
// a new name gets one that was not used for the longest time, since clients may remember
// the address that the last name with it had. Zero: there is none.
func (s *State) aliasOf(name string) *ListenerAlias {
	used := map[int]bool{}
	for l := range s.Listeners() {
		if l.Alias == nil {
			continue
		}
		if l.Alias.Name == name {
			return &ListenerAlias{Name: name, Number: l.Alias.Number}
		}
		used[l.Alias.Number] = true
	}
	next := &ListenerAlias{Name: name}
	for i := range MaxAliasNumber {
		if n := (s.fleet.LastAlias+i)%MaxAliasNumber + 1; !used[n] {
			next.Number = n
			break
		}
	}
	return next
}

// noteAlias remembers the number that was given out last.
func (s *State) noteAlias(number int, isNew bool) {
	if !isNew {
		return
	}
	f := *s.fleet
	f.LastAlias = number
	s.fleet = &f
}

// number is that of the listener's alias; 0 for none.
func (l *Listener) number() int {
	if l.Alias == nil {
		return 0
	}
	return l.Alias.Number
}

// place is where clients reach the listener, for people.
func (l *Listener) place() string {
	if l.Alias != nil {
		return fmt.Sprintf("for tasks at %s:%d", l.Alias.Name, l.Port)
	}
	return fmt.Sprintf("on port %d", l.Port)
}

// listenerCount is how many listeners have an alias, or have none.
func (s *State) listenerCount(alias bool) (n int) {
	for l := range s.Listeners() {
		if (l.Alias != nil) == alias {
			n++
		}
	}
	return n
}

// checkListenerCount refuses one listener more than every host can serve.
func (s *State) checkListenerCount(l *Listener) error {
	most, what := MaxListeners, "listeners"
	if l.Alias != nil {
		most, what = MaxAliases, "aliases"
	}
	if s.listenerCount(l.Alias != nil) >= most {
		return refuse(ErrLimit, "create listener %s: the fleet has %d %s", l.Name, most, what)
	}
	return nil
}

// aliasKnown reports whether a listener has the name already.
func (s *State) aliasKnown(name string) bool {
	for l := range s.Listeners() {
		if l.Alias != nil && l.Alias.Name == name {
			return true
		}
	}
	return false
}
