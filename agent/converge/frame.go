package converge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"skein/raftfsm/fleet/wire"
)

// A frame in a file of the host is the length and the CRC-32C of its body in 4
// bytes each, big endian, and the body, which is one value.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frameHead is the bytes before the body of a frame.
const frameHead = 8

func frame(b, body []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(body, castagnoli))
	return append(b, body...)
}

// appendFrame adds a value's frame to b.
func appendFrame(b []byte, v any) ([]byte, error) {
	body, err := wire.Marshal(v)
	if err != nil {
		return b, err
	}
	return frame(b, body), nil
}

// cutFrame reads the frame that b begins with into the pointer v, and returns
// what follows it.
func cutFrame(b []byte, v any) (rest []byte, err error) {
	if len(b) < frameHead {
		return nil, errors.New("cut off")
	}
	size, sum := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	b = b[frameHead:]
	if uint64(size) > uint64(len(b)) {
		return nil, fmt.Errorf("claims %d bytes, there are %d", size, len(b))
	}
	if crc32.Checksum(b[:size], castagnoli) != sum {
		return nil, errors.New("checksum differs")
	}
	return b[size:], wire.Unmarshal(b[:size], v)
}

// cutFrames reads n frames of one type.
func cutFrames[T any](b []byte, n int) (values []T, rest []byte, err error) {
	if n < 0 || n > len(b)/frameHead {
		return nil, nil, fmt.Errorf("%d records claimed in %d bytes", n, len(b))
	}
	for i := range n {
		var v T
		if b, err = cutFrame(b, &v); err != nil {
			return nil, nil, fmt.Errorf("record %d of %d: %w", i+1, n, err)
		}
		values = append(values, v)
	}
	return values, b, nil
}
