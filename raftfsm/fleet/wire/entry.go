package wire

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"skein/raftfsm/fleet"
)

// entryVersion is the first byte of every entry. Fields and kinds of command
// are added under the same version (fleet.Fleet.Format says when voters may
// propose them); another version is another layout.
const entryVersion = 1

type entry struct {
	At    fleet.Time `cbor:"1,keyasint"`
	Items []item     `cbor:"2,keyasint,omitempty"`
}

type item struct {
	Kind    fleet.Kind      `cbor:"1,keyasint"`
	Body    cbor.RawMessage `cbor:"2,keyasint"`
	Receipt *fleet.Receipt  `cbor:"3,keyasint,omitempty"`
	By      string          `cbor:"4,keyasint,omitempty"`
	Reason  string          `cbor:"5,keyasint,omitempty"`
}

// EncodeEntry encodes an entry for the log; see EncodeItem and JoinItems.
func EncodeEntry(e fleet.Entry) ([]byte, error) {
	items := make([][]byte, len(e.Items))
	for i, it := range e.Items {
		var err error
		if items[i], err = EncodeItem(it); err != nil {
			return nil, fmt.Errorf("encode entry: item %d: %w", i, err)
		}
	}
	return JoinItems(e.At, items)
}

// EncodeItem encodes one item of an entry. It reads back what it wrote: an entry
// that no voter could decode would stop them all, so its item is refused here.
// Errors: ErrTooLarge, ErrFormat, ErrCorrupt.
func EncodeItem(it fleet.Item) ([]byte, error) {
	if it.Command == nil {
		return nil, fmt.Errorf("no command: %w", ErrFormat)
	}
	kind := it.Command.Kind()
	body, err := marshalStrict(it.Command)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	b, err := marshalStrict(item{Kind: kind, Body: body, Receipt: it.Receipt, By: it.By, Reason: it.Reason})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	var back item
	if err := unmarshalStrict(b, &back); err != nil {
		return nil, fmt.Errorf("%s cannot be read back: %w", kind, err)
	}
	if _, err := decodeCommand(back.Kind, back.Body); err != nil {
		return nil, fmt.Errorf("%s cannot be read back: %w", kind, err)
	}
	return b, nil
}

// JoinOverhead is what JoinItems adds to its items at most.
const JoinOverhead = 32

// JoinItems makes an entry of items that EncodeItem made. Errors: ErrTooLarge.
func JoinItems(at fleet.Time, items [][]byte) ([]byte, error) {
	out := struct {
		At    fleet.Time        `cbor:"1,keyasint"`
		Items []cbor.RawMessage `cbor:"2,keyasint,omitempty"`
	}{At: at, Items: make([]cbor.RawMessage, len(items))}
	for i, b := range items {
		out.Items[i] = b
	}
	body, err := marshalStrict(out)
	if err != nil {
		return nil, fmt.Errorf("encode entry: %w", err)
	}
	return append([]byte{entryVersion}, body...), nil
}

// DecodeEntry is the inverse of EncodeEntry. ErrFormat, which names the version,
// kind or field that is not known, means that another build must read it.
func DecodeEntry(b []byte) (fleet.Entry, error) {
	if len(b) > MaxFrame+1 {
		return fleet.Entry{}, fmt.Errorf("decode entry: %d bytes, at most %d are allowed: %w", len(b), MaxFrame+1,
			ErrTooLarge)
	}
	if len(b) == 0 {
		return fleet.Entry{}, fmt.Errorf("decode entry: no bytes: %w", ErrCorrupt)
	}
	if b[0] != entryVersion {
		return fleet.Entry{}, fmt.Errorf("decode entry: version %d, this build reads %d: %w", b[0], entryVersion, ErrFormat)
	}
	var in entry
	if err := unmarshalStrict(b[1:], &in); err != nil {
		return fleet.Entry{}, fmt.Errorf("decode entry: %w", err)
	}
	e := fleet.Entry{At: in.At, Items: make([]fleet.Item, len(in.Items))}
	for i, it := range in.Items {
		c, err := decodeCommand(it.Kind, it.Body)
		if err != nil {
			return fleet.Entry{}, fmt.Errorf("decode entry: item %d: %w", i, err)
		}
		e.Items[i] = fleet.Item{Command: c, Receipt: it.Receipt, By: it.By, Reason: it.Reason}
	}
	return e, nil
}

func decodeCommand(k fleet.Kind, body []byte) (fleet.Command, error) {
	c, known, err := fleet.DecodeCommand(k, func(v any) error { return unmarshalStrict(body, v) })
	if !known {
		return nil, fmt.Errorf("%s is not known: %w", k, ErrFormat)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k, err)
	}
	return c, nil
}
