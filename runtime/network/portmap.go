package network

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	mdl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	tableName      = "skein"
	portsName      = "ports"
	generationName = "generation"
	// The sets' numbers within one transaction.
	portsID, generationID = 1, 2

	// elementsPerMessage keeps one netlink attribute under its 64 KiB: an element
	// with key, value and the task's id takes about 100 bytes.
	elementsPerMessage = 256
	// sockBuffer: answers to a full map (65,535 ports) must not overflow.
	sockBuffer = 4 << 20
	// tries of one transaction, each on a new connection.
	tries      = 5
	retryPause = 20 * time.Millisecond
	// maxMarks: additions leave earlier marks in place; past this many the next
	// transaction replaces the map, and the marks with it.
	maxMarks = 256
)

// portMap is the kernel's table: a map of host ports and the rules that use it.
//
// Every transaction carries a new generation, the highest mark in a set of
// marks. One that only adds ports is sent as it is: taking any element out makes
// the kernel wait for all its readers, 10 ms against 0.1. Any other replaces the
// map and the marks whole.
type portMap struct {
	config Config

	mu         sync.Mutex // one transaction at a time
	generation uint32     // of the last transaction tried
	held       []mapping  // what was read back last; nil: not known
	marks      int        // how many marks there were

	countMu sync.Mutex // guards the rest
	wanted  uint64     // changes asked for
	done    uint64     // changes the kernel has
}

func newPortMap(config Config) *portMap { return &portMap{config: config} }

func table() *nftables.Table {
	return &nftables.Table{Name: tableName, Family: nftables.TableFamilyIPv4}
}

func portSet(t *nftables.Table) *nftables.Set {
	return &nftables.Set{
		Table: t, ID: portsID, Name: portsName, IsMap: true, Concatenation: true,
		KeyType:  nftables.MustConcatSetType(nftables.TypeInetProto, nftables.TypeInetService),
		DataType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService),
	}
}

func generationSet(t *nftables.Table) *nftables.Set {
	return &nftables.Set{Table: t, ID: generationID, Name: generationName, KeyType: nftables.TypeMark,
		KeyByteOrder: binaryutil.NativeEndian}
}

// connection is new for each transaction: one that failed may hold answers to
// older questions.
func connection() (*nftables.Conn, error) {
	return nftables.New(nftables.WithSockOptions(func(c *mdl.Conn) error {
		if err := c.SetReadBuffer(sockBuffer); err != nil {
			return err
		}
		return c.SetWriteBuffer(sockBuffer)
	}))
}

// install writes table, chains and rules anew with the given maps, in one
// transaction: packets meet the old table or the new one.
func (p *portMap) install(ctx context.Context, maps []mapping) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = nil
	if err := p.commit(ctx, maps, true); err != nil {
		return fmt.Errorf("install table %s (needs nftables with NAT in the kernel): %w", tableName, err)
	}
	return nil
}

// intact reports whether the kernel holds the table with these maps.
func (p *portMap) intact(maps []mapping) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	got, err := readBack()
	return err == nil && got.generation == p.generation && slices.Equal(got.maps, maps)
}

// behind reports whether a change asked for has not reached the kernel.
func (p *portMap) behind() bool {
	p.countMu.Lock()
	defer p.countMu.Unlock()
	return p.done < p.wanted
}

// replace writes what maps returns when its turn comes; calls that waited
// meanwhile are served by the same transaction.
func (p *portMap) replace(ctx context.Context, maps func() []mapping) error {
	p.countMu.Lock()
	p.wanted++
	mine := p.wanted
	p.countMu.Unlock()

	p.mu.Lock()
	defer p.mu.Unlock()
	p.countMu.Lock()
	served, upTo := p.done >= mine, p.wanted
	p.countMu.Unlock()
	if served {
		return nil
	}
	if err := p.commit(ctx, maps(), p.held == nil); err != nil {
		return fmt.Errorf("replace port map: %w", err)
	}
	p.countMu.Lock()
	p.done = upTo
	p.countMu.Unlock()
	return nil
}

// commit sends one transaction and believes only what it reads back. With rules
// it writes the whole table, as it does when it finds that there is none: other
// programs flush rulesets.
func (p *portMap) commit(ctx context.Context, maps []mapping, rules bool) error {
	var last error
	for try := range tries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return errors.Join(last, ctx.Err())
			case <-time.After(retryPause):
			}
		}
		p.generation++
		sent := p.send(maps, rules)
		if errors.Is(sent, unix.EPERM) || errors.Is(sent, unix.EOPNOTSUPP) {
			return sent
		}
		got, err := readBack()
		if err == nil && got.generation == p.generation && slices.Equal(got.maps, maps) {
			p.held, p.marks = slices.Clip(got.maps), got.marks
			if p.held == nil {
				p.held = []mapping{}
			}
			return nil // whatever send said
		}
		p.held, rules = nil, rules || errors.Is(sent, unix.ENOENT)
		last = errors.Join(sent, err)
		if last == nil {
			last = fmt.Errorf("kernel holds %d ports of generation %d, not %d of %d", len(got.maps), got.generation, len(maps),
				p.generation)
		}
	}
	return last
}

// send sends what differs when that is additions only, else everything.
func (p *portMap) send(maps []mapping, rules bool) error {
	c, err := connection()
	if err != nil {
		return err
	}
	t := table()
	ports, marks := portSet(t), generationSet(t)
	added, grows := additions(p.held, maps)
	switch {
	case rules:
		c.AddTable(t)
		if err := errors.Join(c.AddSet(ports, nil), c.AddSet(marks, nil)); err != nil {
			return err
		}
		addRules(c, t, p.config)
		fallthrough
	case !grows || p.marks >= maxMarks:
		c.FlushSet(ports)
		c.FlushSet(marks)
		added = maps
	}
	for chunk := range slices.Chunk(added, elementsPerMessage) {
		elements := make([]nftables.SetElement, len(chunk))
		for i, m := range chunk {
			elements[i] = encode(m)
		}
		if err := c.SetAddElements(ports, elements); err != nil {
			return err
		}
	}
	mark := []nftables.SetElement{{Key: binaryutil.NativeEndian.PutUint32(p.generation)}}
	if err := c.SetAddElements(marks, mark); err != nil {
		return err
	}
	return c.Flush()
}

// additions is what maps has more than held; grows is false when it also lacks
// or changes something, or held is not known.
func additions(held, maps []mapping) (added []mapping, grows bool) {
	if held == nil {
		return nil, false
	}
	before := make(map[portKey]mapping, len(held))
	for _, m := range held {
		before[m.key] = m
	}
	kept := 0
	for _, m := range maps {
		old, was := before[m.key]
		switch {
		case !was:
			added = append(added, m)
		case old == m:
			kept++
		}
	}
	return added, kept == len(held)
}
