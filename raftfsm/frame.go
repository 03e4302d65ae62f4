package raftfsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/hashicorp/raft"
)

// A segment file is a header and frames, and zeros up to its reserved size:
//
//	segment  "skeinlog", version u32, crc32c u32 of the rest, seq u64, salt u64
//	frame    magic u32, crc32c u32 of salt, offset and the rest, first u64,
//	         length u32, count u32, then count times: length u32, record
//
// All numbers are little endian, frames begin at multiples of 8. One append is
// one frame and one sync, so after a power loss only the last frame may be torn.
// A frame with count 0 says that the entries from first on are gone. The salt,
// random for each file, keeps bytes inside an entry from passing for a frame.
const (
	segmentMagic   = "skeinlog"
	segmentVersion = 1
	segmentHeader  = 32

	frameMagic  = 0x534b4652
	frameHeader = 24
	frameAlign  = 8

	// sectorSize is what a disk writes whole or not at all.
	sectorSize = 512
)

var errFrame = errors.New("damaged frame")

func encodeSegmentHeader(seq, salt uint64) []byte {
	b := make([]byte, segmentHeader)
	copy(b, segmentMagic)
	binary.LittleEndian.PutUint32(b[8:], segmentVersion)
	binary.LittleEndian.PutUint64(b[16:], seq)
	binary.LittleEndian.PutUint64(b[24:], salt)
	binary.LittleEndian.PutUint32(b[12:], segmentSum(b))
	return b
}

func segmentSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, b[16:segmentHeader])
}

func decodeSegmentHeader(b []byte) (seq, salt uint64, err error) {
	switch {
	case len(b) < segmentHeader || string(b[:8]) != segmentMagic || binary.LittleEndian.Uint32(b[12:]) != segmentSum(b):
		return 0, 0, errors.New("damaged segment header")
	case binary.LittleEndian.Uint32(b[8:]) != segmentVersion:
		return 0, 0, fmt.Errorf("segment version %d, want %d: %w", binary.LittleEndian.Uint32(b[8:]), segmentVersion,
			ErrUnreadable)
	}
	return binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:]), nil
}

// position is where a record stands in its file.
type position struct{ offset, length uint32 }

// frame is one append as found in a file: entries from first on, or with no
// records the cut of all entries from first on.
type frame struct {
	first   uint64
	records []position
}

// appendFrame encodes entries with consecutive indices as the frame that will
// stand at offset. The positions are those in the file.
func appendFrame(b []byte, salt uint64, offset int64, logs []*raft.Log, commit uint64) ([]byte, []position) {
	start := len(b)
	b = append(b, make([]byte, frameHeader)...)
	records := make([]position, 0, len(logs))
	for _, log := range logs {
		at := len(b) + 4
		b = appendRecord(append(b, 0, 0, 0, 0), log, commit)
		binary.LittleEndian.PutUint32(b[at-4:], uint32(len(b)-at))
		records = append(records, position{offset: uint32(offset + int64(at-start)), length: uint32(len(b) - at)})
	}
	sealFrame(b[start:], salt, offset, logs[0].Index, len(logs))
	for (len(b)-start)%frameAlign != 0 {
		b = append(b, 0)
	}
	return b, records
}

// cutFrame encodes that the entries from first on are gone.
func cutFrame(salt uint64, offset int64, first uint64) []byte {
	b := make([]byte, frameHeader)
	sealFrame(b, salt, offset, first, 0)
	return b
}

func sealFrame(b []byte, salt uint64, offset int64, first uint64, count int) {
	binary.LittleEndian.PutUint32(b, frameMagic)
	binary.LittleEndian.PutUint64(b[8:], first)
	binary.LittleEndian.PutUint32(b[16:], uint32(len(b)-frameHeader))
	binary.LittleEndian.PutUint32(b[20:], uint32(count))
	binary.LittleEndian.PutUint32(b[4:], frameSum(b, salt, offset))
}

func frameSum(b []byte, salt uint64, offset int64) uint32 {
	var where [16]byte
	binary.LittleEndian.PutUint64(where[:], salt)
	binary.LittleEndian.PutUint64(where[8:], uint64(offset))
	return crc32.Update(crc32.Checksum(where[:], castagnoli), castagnoli, b[8:frameHeader])
}

// isFrame reports whether a sound frame header stands at offset of the file b.
func isFrame(b []byte, salt uint64, offset int64) bool {
	if offset+frameHeader > int64(len(b)) {
		return false
	}
	h := b[offset:]
	return binary.LittleEndian.Uint32(h) == frameMagic && binary.LittleEndian.Uint32(h[4:]) == frameSum(h, salt, offset)
}

// readFrame reads the frame at offset of the file b and verifies every record.
// Its extent is what the frame covers as far as one can tell, also on errFrame.
func readFrame(b []byte, salt uint64, offset int64) (f frame, extent int64, err error) {
	if !isFrame(b, salt, offset) {
		return frame{}, frameHeader, errFrame
	}
	h := b[offset:]
	f.first = binary.LittleEndian.Uint64(h[8:])
	extent = frameHeader + int64(binary.LittleEndian.Uint32(h[16:]))
	count := binary.LittleEndian.Uint32(h[20:])
	if offset+extent > int64(len(b)) {
		return frame{}, extent, errFrame
	}
	body := reader{b: h[frameHeader:extent]}
	for i := range uint64(count) {
		record := body.take(uint64(body.uint32()))
		var log raft.Log
		if _, err := readRecord(f.first+i, record, &log); body.bad || err != nil {
			return frame{}, extent, errFrame
		}
		end := offset + extent - int64(len(body.b))
		f.records = append(f.records, position{offset: uint32(end - int64(len(record))), length: uint32(len(record))})
	}
	if len(body.b) != 0 {
		return frame{}, extent, errFrame
	}
	return f, extent, nil
}

// scanFrames reads all frames of a segment file. end is where the next frame goes. torn
// is set when the bytes there are the rest of an append that a power loss interrupted
// before it was acknowledged; only the newest segment may be torn. Anything else that is
// not a frame is damage: an error with its offset.
func scanFrames(b []byte, salt uint64) (frames []frame, end int64, torn bool, err error) {
	end = segmentHeader
	for {
		if allZero(b[min(end, int64(len(b))):]) {
			return frames, end, false, nil
		}
		f, extent, err := readFrame(b, salt, end)
		if err == nil {
			frames = append(frames, f)
			end += (extent + frameAlign - 1) / frameAlign * frameAlign
			continue
		}
		if !tornAt(b, end, extent) || frameAfter(b, salt, end) {
			return frames, end, false, fmt.Errorf("at offset %d: %w", end, err)
		}
		return frames, end, true, nil
	}
}

// tornAt tells an interrupted write from rot: it reaches past the file's end, or
// one of its sectors was never written and is still zero.
func tornAt(b []byte, offset, extent int64) bool {
	end := offset + extent
	if end > int64(len(b)) {
		return true
	}
	for at := offset; at < end; {
		next := min(end, at-at%sectorSize+sectorSize)
		if allZero(b[at:next]) {
			return true
		}
		at = next
	}
	return false
}

// frameAfter reports whether a later append is in the file: then the bad one
// had been acknowledged, and this is rot.
func frameAfter(b []byte, salt uint64, offset int64) bool {
	for at := offset + frameAlign; at+frameHeader <= int64(len(b)); at += frameAlign {
		if isFrame(b, salt, at) {
			return true
		}
	}
	return false
}

func allZero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}
