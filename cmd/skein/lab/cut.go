package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Hub is the name of the bridge's own address in Cut and Heal: the registry and
// load tools.
const Hub = "hub"

// Cut drops all packets from one host to another, and back unless oneWay. Either
// may be Hub. ARP passes, so that a cut shows as silence, not as a missing host.
func (l *Lab) Cut(ctx context.Context, from, to string, oneWay bool) error {
	return l.changeCuts(ctx, "cut", func(s *State, a, b netip.Addr) {
		l.addCut(s, Cut{a, b})
		if !oneWay {
			l.addCut(s, Cut{b, a})
		}
	}, from, to)
}

// Heal ends the cut between two hosts, in the given direction or in both.
func (l *Lab) Heal(ctx context.Context, from, to string, oneWay bool) error {
	return l.changeCuts(ctx, "heal", func(s *State, a, b netip.Addr) {
		s.Cuts = slices.DeleteFunc(s.Cuts, func(c Cut) bool {
			return c == Cut{a, b} || !oneWay && c == Cut{b, a}
		})
	}, from, to)
}

// HealAll ends all cuts.
func (l *Lab) HealAll(ctx context.Context) error {
	return l.changeCuts(ctx, "heal", func(s *State, _, _ netip.Addr) { s.Cuts = nil }, Hub, Hub)
}

func (l *Lab) addCut(s *State, c Cut) {
	if !slices.Contains(s.Cuts, c) {
		s.Cuts = append(s.Cuts, c)
	}
}

func (l *Lab) changeCuts(
	ctx context.Context, what string, change func(s *State, a, b netip.Addr), from, to string,
) error {
	lock, err := l.lock(ctx, what)
	if err != nil {
		return err
	}
	defer lock.release()
	s, err := l.load()
	if err != nil {
		return err
	}
	a, err := s.address(from)
	if err != nil {
		return err
	}
	b, err := s.address(to)
	if err != nil {
		return err
	}
	change(s, a, b)
	if err := l.save(s); err != nil {
		return err
	}
	return l.applyCuts(s.Cuts)
}

func (s *State) address(name string) (netip.Addr, error) {
	if name == Hub {
		return hubAddress(s.Subnet), nil
	}
	host, err := s.host(name)
	if err != nil {
		return netip.Addr{}, err
	}
	return host.Addr, nil
}

// applyCuts replaces the lab's table of the bridge family, in one transaction.
func (l *Lab) applyCuts(cuts []Cut) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	table := &nftables.Table{Name: l.table(), Family: nftables.TableFamilyBridge}
	conn.AddTable(table) // so that DelTable finds one
	conn.DelTable(table)
	if len(cuts) > 0 {
		conn.AddTable(table)
		// Forwarded between ports, and to and from the hub itself.
		for name, hook := range map[string]*nftables.ChainHook{
			"forward": nftables.ChainHookForward, "input": nftables.ChainHookInput, "output": nftables.ChainHookOutput,
		} {
			chain := conn.AddChain(&nftables.Chain{
				Name: name, Table: table, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityFilter,
			})
			for _, cut := range cuts {
				conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: dropRule(cut)})
			}
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("write nftables table %s: %w", l.table(), err)
	}
	return nil
}

// dropRule matches the ether type, source and destination of a cut.
func dropRule(cut Cut) []expr.Any {
	etherType, source, destination := []byte{0x08, 0x00}, uint32(12), uint32(16)
	if cut.From.Is6() {
		etherType, source, destination = []byte{0x86, 0xdd}, 8, 24
	}
	size := uint32(cut.From.BitLen() / 8)
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: etherType},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: source, Len: size},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: cut.From.AsSlice()},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: destination, Len: size},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: cut.To.AsSlice()},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
}

// removeTable removes the lab's table if there is one.
func (l *Lab) removeTable() error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyBridge)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
		return nil // a kernel without the family has no table of it
	}
	if err != nil {
		return fmt.Errorf("list nftables tables: %w", err)
	}
	for _, table := range tables {
		if table.Name != l.table() {
			continue
		}
		conn.DelTable(table)
		if err := conn.Flush(); err != nil {
			return fmt.Errorf("remove nftables table %s: %w", l.table(), err)
		}
	}
	return nil
}
