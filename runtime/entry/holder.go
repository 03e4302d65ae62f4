package entry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"skein/runtime/seam/clock"
)

// MaxAddresses bounds the addresses of one host: more would not fit the filter's jumps.
const MaxAddresses = 64

// Config says where entry addresses are held.
type Config struct {
	// Interface is the only one to use; empty: the one on whose subnet an address is.
	Interface string
	Except    []string // interfaces that are never used: the tasks' bridge
	Clock     clock.Clock
	Log       *slog.Logger
}

// Address is what a host has to do with one entry address.
type Address struct {
	Addr netip.Addr
	// Bits is the length of the subnet that the address is said to be in; zero: not said.
	Bits int
	Role Role
	// Assignment tells one assignment to this host from the next: with another number it
	// is taken anew, for others may have held it in between.
	Assignment uint64
	// NotBefore is when, by the clock's monotonic time, a holder may answer first: by then
	// the lease of whoever held it before is over. Neighbours are asked before it too.
	NotBefore time.Duration
	// RelayTo is an address in the same subnet of the other host that takes what comes for
	// the entry address, the former holder or the holder: connections that are not known
	// here are sent on to it, once. Zero: they are refused.
	RelayTo netip.Addr
}

// Status is how this host stands to an address.
type Status struct {
	Addr      netip.Addr
	Answering bool
	Since     time.Duration // of the clock's monotonic time
	// Other is the link address of a neighbour that says the address is its own; empty:
	// none. The address is left to it.
	Other string
}

// Holder holds entry addresses on this host. Make one with [Open]; it is safe for
// concurrent use.
type Holder struct {
	config  Config
	readers sync.WaitGroup

	holdMu  sync.Mutex // one Hold at a time; guards the sockets' list
	sockets map[socketKey]*socket

	mu     sync.Mutex // guards the rest
	claims *claims
	by     map[netip.Addr]*socket
	taken  map[netip.Addr]bool // on the loopback interface
	timer  *time.Timer
	closed bool
}

type socketKey struct {
	link   int
	family int
}

// Open starts with no address: the first [Holder.Hold] takes up what an earlier process
// of the agent left, or takes it away.
func Open(config Config) *Holder {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Clock == nil {
		config.Clock = clock.System()
	}
	return &Holder{config: config, sockets: map[socketKey]*socket{}, claims: newClaims(), by: map[netip.Addr]*socket{},
		taken: map[netip.Addr]bool{}}
}

// Renew says until when this host may answer. See [Lease].
func (h *Holder) Renew(lease Lease) {
	h.step(func(now time.Duration) []act { return h.claims.renew(now, lease) })
}

// Hold makes the addresses of this host exactly these. An address that cannot be held is
// an error that names it, and does not stop the others. It is to be called now and then
// with the same addresses too: it puts back what another program took away.
func (h *Holder) Hold(ctx context.Context, want []Address) error {
	h.holdMu.Lock()
	defer h.holdMu.Unlock()
	// First silent, then without the address; first with the address, then answering (place).
	h.forget(want)
	if err := ctx.Err(); err != nil {
		return err
	}
	links, err := h.usableLinks()
	if err != nil {
		return err
	}
	good, on, err := check(want, links)
	h.forget(good)
	return errors.Join(err, h.settle(good, on))
}

func (h *Holder) usableLinks() ([]link, error) {
	links, err := readLinks(h.config.Except)
	if err != nil || h.config.Interface == "" {
		return links, err
	}
	links = slices.DeleteFunc(links, func(l link) bool { return l.name != h.config.Interface })
	if len(links) == 0 {
		return nil, fmt.Errorf("entry addresses are to be on interface %s, which is not there, not Ethernet, or has no"+
			" address", h.config.Interface)
	}
	return links, nil
}

// check parts what can be held, and on which interface, from what cannot.
func check(want []Address, links []link) (good []Address, on map[netip.Addr]link, err error) {
	if len(want) > MaxAddresses {
		return nil, nil, fmt.Errorf("%d entry addresses on one host: at most %d", len(want), MaxAddresses)
	}
	on = map[netip.Addr]link{}
	var errs []error
	for _, w := range want {
		l, refused := checkOne(w, links)
		if _, twice := on[w.Addr]; twice && refused == nil {
			refused = fmt.Errorf("entry address %s is there twice", w.Addr)
		}
		if refused != nil {
			errs = append(errs, &RefusedError{w.Addr, refused})
			continue
		}
		good, on[w.Addr] = append(good, w), l
	}
	slices.SortFunc(good, func(a, b Address) int { return a.Addr.Compare(b.Addr) })
	return good, on, errors.Join(errs...)
}

// RefusedError says why this host cannot hold one address.
type RefusedError struct {
	Addr netip.Addr
	Err  error
}

func (e *RefusedError) Error() string { return e.Err.Error() }

func (e *RefusedError) Unwrap() error { return e.Err }

// WhyNot is what an error of Hold says about one address: why that is refused, or, where it is
// not, all that does not belong to one address. Empty: nothing.
func WhyNot(err error, addr netip.Addr) string {
	var shared []string
	for _, one := range flat(err) {
		var refused *RefusedError
		switch {
		case !errors.As(one, &refused):
			shared = append(shared, one.Error())
		case refused.Addr == addr:
			return refused.Error()
		}
	}
	return strings.Join(shared, "; ")
}

// flat are the errors that were joined.
func flat(err error) (all []error) {
	joined, is := err.(interface{ Unwrap() []error })
	if !is {
		if err != nil {
			all = append(all, err)
		}
		return all
	}
	for _, one := range joined.Unwrap() {
		all = append(all, flat(one)...)
	}
	return all
}

func checkOne(w Address, links []link) (link, error) {
	a := w.Addr
	if !a.IsValid() || a.Is4In6() || a.Zone() != "" || !a.IsGlobalUnicast() {
		return link{}, fmt.Errorf("entry address %s: want an IPv4 or IPv6 address of a host", a)
	}
	l, err := linkOf(links, a)
	if err != nil {
		return link{}, err
	}
	subnet := l.subnets[slices.IndexFunc(l.subnets, func(s netip.Prefix) bool { return s.Contains(a) })]
	if w.Bits != 0 && w.Bits != subnet.Bits() {
		return link{}, fmt.Errorf("entry address %s is said to be in %s, and this host's subnet on %s is %s:"+
			" add it with /%d", a, netip.PrefixFrom(a, w.Bits).Masked(), l.name, subnet.Masked(), subnet.Bits())
	}
	if slices.Contains(l.gateways, a) {
		return link{}, fmt.Errorf("entry address %s is the gateway of this host on %s: the host would be cut off from it",
			a, l.name)
	}
	if first := subnet.Masked().Addr(); a == first || a.Is4() && a == last(subnet) {
		return link{}, fmt.Errorf("entry address %s is the subnet %s's own or broadcast address", a, subnet.Masked())
	}
	if w.RelayTo.IsValid() && (!subnet.Contains(w.RelayTo) || w.RelayTo == a || w.RelayTo == subnet.Addr()) {
		return link{}, fmt.Errorf("entry address %s: its other holder %s is no neighbour in %s", a, w.RelayTo,
			subnet.Masked())
	}
	return l, nil
}

func last(subnet netip.Prefix) netip.Addr {
	all := subnet.Masked().Addr().As4()
	for i := subnet.Bits(); i < 32; i++ {
		all[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(all)
}

// forget makes the host silent for what it is not to hold.
func (h *Holder) forget(good []Address) {
	h.step(func(now time.Duration) []act {
		h.claims.quiet(now, good)
		return nil
	})
}

// settle makes kernel, sockets and claims those of the addresses that can be held.
func (h *Holder) settle(good []Address, on map[netip.Addr]link) error {
	there, err := ownAddresses()
	if err != nil {
		return err
	}
	var errs []error
	for addr := range there {
		if _, wanted := on[addr]; !wanted {
			errs = append(errs, removeAddress(addr))
		}
	}
	errs = append(errs, settleRelay(relays(good, on)))
	good = slices.DeleteFunc(good, func(a Address) bool {
		if !a.Addr.Is4() {
			return false
		}
		failed := quietARP(on[a.Addr].name)
		errs = append(errs, failed)
		return failed != nil
	})
	by, err := h.openSockets(good, on)
	errs = append(errs, err)
	good = slices.DeleteFunc(good, func(a Address) bool { return a.Role == Holding && by[a.Addr] == nil })
	own := map[netip.Addr]mac{}
	for _, a := range good {
		own[a.Addr] = on[a.Addr].mac
	}
	errs = append(errs, h.tryStep(func(now time.Duration) []act {
		h.by, h.taken = by, map[netip.Addr]bool{}
		for _, a := range good {
			h.taken[a.Addr] = there[a.Addr]
		}
		return h.claims.set(now, good, own)
	}))
	return errors.Join(errs...)
}

func relays(good []Address, on map[netip.Addr]link) (all []relayed) {
	for _, a := range good {
		all = append(all, relayed{addr: a.Addr, link: on[a.Addr], to: a.RelayTo})
	}
	return all
}

// openSockets has one socket for each interface and family that needs one, and says which
// is for which address.
func (h *Holder) openSockets(good []Address, on map[netip.Addr]link) (map[netip.Addr]*socket, error) {
	need := map[socketKey][]netip.Addr{}
	for _, a := range good {
		if a.Role == Holding {
			key := socketKey{on[a.Addr].index, family(a.Addr)}
			need[key] = append(need[key], a.Addr)
		}
	}
	for key, s := range h.sockets {
		if len(need[key]) == 0 || s.gone.Load() || s.link.mac != on[need[key][0]].mac {
			delete(h.sockets, key)
			if err := s.close(); err != nil {
				h.config.Log.Warn("packet socket not closed", "interface", s.link.name, "err", err)
			}
		}
	}
	by := map[netip.Addr]*socket{}
	var errs []error
	for key, addrs := range need {
		s, err := h.socketFor(key, on[addrs[0]])
		if err == nil {
			err = s.listen(addrs)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, addr := range addrs {
			by[addr] = s
		}
	}
	return by, errors.Join(errs...)
}

func (h *Holder) socketFor(key socketKey, l link) (*socket, error) {
	if s := h.sockets[key]; s != nil {
		return s, nil
	}
	s, err := openSocket(l, key.family)
	if err != nil {
		return nil, err
	}
	h.sockets[key] = s
	h.readers.Go(func() { h.listen(s) })
	return s, nil
}

func family(addr netip.Addr) int {
	if addr.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// maxFrame is more than any frame that is looked at.
const maxFrame = 2048

// listen hears neighbours until the socket ends. The next Hold opens another.
func (h *Holder) listen(s *socket) {
	buf := make([]byte, maxFrame)
	for {
		n, err := s.read(buf)
		if err != nil {
			s.gone.Store(true)
			return
		}
		if said, ok := parse(buf[:n]); ok {
			h.step(func(now time.Duration) []act { return h.claims.hear(now, said) })
		}
	}
}

// step does what tryStep does, where nobody waits for what comes of it.
func (h *Holder) step(decide func(now time.Duration) []act) {
	if err := h.tryStep(decide); err != nil {
		h.config.Log.Warn("entry addresses not taken", "err", err)
	}
}

// tryStep decides, takes addresses and leaves them to others, sends what was decided, and
// sets the alarm for what time brings next.
func (h *Holder) tryStep(decide func(now time.Duration) []act) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	now := h.config.Clock.Mono()
	before := h.claims.held(now)
	acts := decide(now)
	err := h.place(now)
	for _, a := range acts {
		if a.kind == sendProbe || h.taken[a.addr] {
			h.send(a)
		}
	}
	h.arm(now)
	if after := h.claims.held(now); !slices.Equal(before, after) {
		h.config.Log.Info("entry addresses answered for", "before", before, "now", after)
	}
	return err
}

// place makes the addresses on the loopback interface those that the host is to take. One
// that cannot be put there is not answered for, and tried again.
func (h *Holder) place(now time.Duration) error {
	var errs []error
	for addr := range h.claims.all {
		take := h.claims.takes(now, addr, h.taken[addr])
		if take == h.taken[addr] {
			continue
		}
		change := putAddress
		if !take {
			change = removeAddress
		}
		if err := change(addr); err != nil {
			errs = append(errs, err)
			if take {
				h.claims.fail(now, addr)
			}
			continue
		}
		h.taken[addr] = take
	}
	return errors.Join(errs...)
}

func (h *Holder) send(a act) {
	s := h.by[a.addr]
	if s == nil {
		return
	}
	var frame []byte
	switch a.kind {
	case sendProbe:
		frame = probe(s.link.mac, a.addr)
	case sendAnnouncement:
		frame = announce(s.link.mac, a.addr)
	case sendAnswer:
		frame = answer(s.link.mac, a.addr, a.to)
	}
	if err := s.send(frame); err != nil {
		h.config.Log.Debug("frame not sent", "interface", s.link.name, "address", a.addr, "err", err)
	}
}

func (h *Holder) arm(now time.Duration) {
	at, ok := h.claims.next(now)
	switch {
	case !ok && h.timer != nil:
		h.timer.Stop()
	case ok && h.timer == nil:
		h.timer = time.AfterFunc(max(at-now, 0), h.tick)
	case ok:
		h.timer.Reset(max(at-now, 0))
	}
}

func (h *Holder) tick() { h.step(h.claims.advance) }

// Status is how this host stands to each of its addresses, by address.
func (h *Holder) Status() []Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.config.Clock.Mono()
	var out []Status
	for addr, one := range h.claims.all {
		s := Status{Addr: addr, Answering: h.claims.answers(now, one), Since: one.since}
		if one.other != (mac{}) {
			s.Other = net.HardwareAddr(one.other[:]).String()
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Status) int { return cmp.Compare(a.Addr.String(), b.Addr.String()) })
	return out
}

// Close ends the answers. Addresses and rules stay, so that what is open goes on while the
// agent restarts.
func (h *Holder) Close() error {
	h.holdMu.Lock()
	defer h.holdMu.Unlock()
	h.mu.Lock()
	h.closed = true
	if h.timer != nil {
		h.timer.Stop()
	}
	h.mu.Unlock()
	var errs []error
	for key, s := range h.sockets {
		errs = append(errs, s.close())
		delete(h.sockets, key)
	}
	h.readers.Wait()
	return errors.Join(errs...)
}
