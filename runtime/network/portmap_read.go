package network

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
)

// content is what the kernel holds.
type content struct {
	maps       []mapping // in order
	generation uint32
	marks      int
}

// readBack reads the map between two readings of the generation: equal ones say
// that the map was not changed meanwhile.
func readBack() (content, error) {
	c, err := connection()
	if err != nil {
		return content{}, err
	}
	before, _, err := readGeneration(c)
	if err != nil {
		return content{}, err
	}
	elements, err := c.GetSetElements(portSet(table()))
	if err != nil {
		return content{}, fmt.Errorf("read port map: %w", err)
	}
	after, marks, err := readGeneration(c)
	if err != nil {
		return content{}, err
	}
	if before != after {
		return content{}, errors.New("port map changed while it was read")
	}
	maps := make([]mapping, len(elements))
	for i, e := range elements {
		m, ok := decode(e)
		if !ok {
			return content{}, fmt.Errorf("port map has an element of another making: % x", e.Key)
		}
		maps[i] = m
	}
	return content{sorted(maps), after, marks}, nil
}

func readGeneration(c *nftables.Conn) (generation uint32, marks int, err error) {
	elements, err := c.GetSetElements(generationSet(table()))
	if err != nil {
		return 0, 0, fmt.Errorf("read generation: %w", err)
	}
	for _, e := range elements {
		if len(e.Key) != 4 {
			return 0, 0, fmt.Errorf("read generation: mark % x has not four bytes", e.Key)
		}
		generation = max(generation, binaryutil.NativeEndian.Uint32(e.Key))
	}
	if len(elements) == 0 {
		return 0, 0, errors.New("read generation: no mark")
	}
	return generation, len(elements), nil
}

// read takes up what an earlier agent left: its maps and its generation. No
// table is no map.
func (p *portMap) read(ctx context.Context) ([]mapping, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var last error
	for try := range tries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(retryPause):
			}
		}
		exists, err := tableExists()
		if err == nil && !exists {
			return nil, nil
		}
		got, readErr := readBack()
		if err = errors.Join(err, readErr); err == nil {
			p.generation = got.generation
			return got.maps, nil
		}
		last = err
	}
	return nil, fmt.Errorf("read table %s (delete it with: nft delete table ip %s): %w", tableName, tableName, last)
}

func tableExists() (bool, error) {
	c, err := connection()
	if err != nil {
		return false, err
	}
	all, err := c.ListTablesOfFamily(table().Family)
	if err != nil {
		return false, fmt.Errorf("list tables: %w", err)
	}
	return slices.ContainsFunc(all, func(t *nftables.Table) bool { return t.Name == tableName }), nil
}
