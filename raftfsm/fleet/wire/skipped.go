package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"unicode/utf8"
)

// Heads of CBOR items (RFC 8949, 3): the type is in the upper 3 bits of the first
// byte, the argument in the lower 5 or in the bytes that follow.
const (
	typeBytes = 2
	typeText  = 3
	typeArray = 4
	typeMap   = 5

	argOneByte = 24 // the argument is the next byte; 25, 26 and 27: the next 2, 4 and 8
)

var (
	errText = errors.New("invalid UTF-8 in a field that is not known")
	errKeys = errors.New("keys of a map are not in order, or one is there twice, beside a field that is not known")
)

// checkSkipped holds a value with unknown fields to the rules that the library
// applies only to what it decodes: texts are UTF-8, and no key comes twice. Every
// writer sorts keys (RFC 8949, 4.2.1), so the second needs no memory. b is one
// well-formed value without tags and indefinite lengths, nested at most maxDepth
// deep: the library has looked.
func checkSkipped(b []byte) error {
	_, err := checkItem(b)
	return err
}

// checkItem returns what follows the item that b begins with.
func checkItem(b []byte) (rest []byte, err error) {
	kind, arg, b := cutHead(b)
	switch kind {
	case typeBytes:
		return b[arg:], nil
	case typeText:
		if !utf8.Valid(b[:arg]) {
			return nil, errText
		}
		return b[arg:], nil
	case typeArray:
		for ; arg > 0 && err == nil; arg-- {
			b, err = checkItem(b)
		}
		return b, err
	case typeMap:
		return checkPairs(b, arg)
	}
	return b, nil
}

func checkPairs(b []byte, n uint64) (rest []byte, err error) {
	var before []byte
	for ; n > 0; n-- {
		value, err := checkItem(b)
		if err != nil {
			return nil, err
		}
		key := b[:len(b)-len(value)]
		if before != nil && bytes.Compare(before, key) >= 0 {
			return nil, errKeys
		}
		before = key
		if b, err = checkItem(value); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// cutHead returns an item's type, its argument, and what follows both.
func cutHead(b []byte) (kind byte, arg uint64, rest []byte) {
	kind, low, b := b[0]>>5, b[0]&31, b[1:]
	if low < argOneByte {
		return kind, uint64(low), b
	}
	var wide [8]byte
	n := 1 << (low - argOneByte)
	copy(wide[8-n:], b[:n])
	return kind, binary.BigEndian.Uint64(wide[:]), b[n:]
}
