//go:build nextformat

package wire

import (
	"bytes"
	"encoding/binary"
	"reflect"
)

// nextField is a key that no message has, and what stands there: a map of a text and
// a list, so that agents which do not know it have something to skip.
var nextField = []byte("\x19\xc3\x50\xa2\x01\x64next\x02\x82\x01\x02") // 50000: {1: "next", 2: [1, 2]}

// withNextField adds the field to a struct. Its key is above all others, which are
// small integers, so that it comes last.
func withNextField(v any, b []byte) []byte {
	t := reflect.TypeOf(v)
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct || len(b) == 0 || b[0]>>5 != typeMap {
		return b
	}
	_, pairs, rest := cutHead(b)
	return append(append(mapHead(pairs+1), rest...), nextField...)
}

// withoutNextField takes the field away from what such a build wrote.
func withoutNextField(b []byte) []byte {
	if len(b) == 0 || b[0]>>5 != typeMap || !bytes.HasSuffix(b, nextField) {
		return b
	}
	low := b[0] & 31
	if low > argOneByte+1 { // more fields than any struct has
		return b
	}
	_, pairs, rest := cutHead(b)
	return append(mapHead(pairs-1), rest[:len(rest)-len(nextField)]...)
}

func mapHead(pairs uint64) []byte {
	switch {
	case pairs < argOneByte:
		return []byte{typeMap<<5 | byte(pairs)}
	case pairs < 1<<8:
		return []byte{typeMap<<5 | argOneByte, byte(pairs)}
	default:
		return binary.BigEndian.AppendUint16([]byte{typeMap<<5 | argOneByte + 1}, uint16(pairs))
	}
}
