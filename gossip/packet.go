package gossip

import (
	"encoding/binary"
	"fmt"
)

// checkPacket refuses what an authenticated packet could do harm with: packed
// messages, since a small one may unpack to 40 MiB, and more than one request,
// since each costs an answer and some a goroutine. We send neither.
func checkPacket(packet []byte) error {
	requests := 0
	return walkPacket(packet, func(kind byte) error {
		switch kind {
		case typeCompressed:
			return fmt.Errorf("%w: packet holds a compressed message", errFormat)
		case typePing, typeIndirectPing, typeAck, typeNack:
			if requests++; requests > 1 {
				return fmt.Errorf("%w: packet holds several requests", errFormat)
			}
		}
		return nil
	})
}

// maxNesting is above what we send: messages in a compound in a checksum.
const maxNesting = 4

// walkPacket visits the types of all messages in a packet.
func walkPacket(packet []byte, visit func(kind byte) error) error {
	return walkMessages(packet, visit, 0)
}

func walkMessages(message []byte, visit func(kind byte) error, depth int) error {
	if depth > maxNesting {
		return fmt.Errorf("%w: packet holds messages %d deep", errFormat, depth)
	}
	if len(message) == 0 {
		return nil // memberlist says so and drops it
	}
	switch kind, rest := message[0], message[1:]; {
	case kind == typeChecksummed && depth == 0 && len(rest) >= 4:
		return walkMessages(rest[4:], visit, depth+1)
	case kind == typeCompound && len(rest) > 0:
		return walkCompound(rest, visit, depth)
	default:
		return visit(kind)
	}
}

// walkCompound goes through a compound: a count, the lengths, the messages.
func walkCompound(compound []byte, visit func(kind byte) error, depth int) error {
	count := int(compound[0])
	lengths := compound[1:]
	if len(lengths) < 2*count {
		return fmt.Errorf("%w: compound is cut short", errFormat)
	}
	parts := lengths[2*count:]
	for i := range count {
		size := int(binary.BigEndian.Uint16(lengths[2*i:]))
		if size > len(parts) {
			return nil // memberlist drops the rest
		}
		if err := walkMessages(parts[:size], visit, depth+1); err != nil {
			return err
		}
		parts = parts[size:]
	}
	return nil
}
