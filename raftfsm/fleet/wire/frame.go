package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// WriteFrame writes a value as one frame: its length in 4 bytes, big endian,
// then CBOR, in a single Write. Errors: ErrTooLarge, or the writer's.
func WriteFrame(w io.Writer, v any) error {
	body, err := Marshal(v)
	if err != nil {
		return err
	}
	frame := make([]byte, 4, 4+len(body))
	binary.BigEndian.PutUint32(frame, uint32(len(body)))
	if _, err := w.Write(append(frame, body...)); err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	return nil
}

// ReadFrame reads one frame into the pointer v. It keeps no more than what has
// arrived, whatever length the frame claims. Errors: io.EOF when the stream
// ends between frames, io.ErrUnexpectedEOF within one, ErrTooLarge, those of
// Unmarshal, or the reader's.
func ReadFrame(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		return fmt.Errorf("read frame: %w", err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > MaxFrame {
		return fmt.Errorf("read frame: %d bytes, at most %d are allowed: %w", n, MaxFrame, ErrTooLarge)
	}
	var body bytes.Buffer
	if err := readN(&body, r, int(n)); err != nil {
		return fmt.Errorf("read frame: %w", err)
	}
	return Unmarshal(body.Bytes(), v)
}

// readN appends exactly n bytes to a buffer, which grows as they arrive.
func readN(into *bytes.Buffer, r io.Reader, n int) error {
	if _, err := io.CopyN(into, r, int64(n)); err != nil {
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	return nil
}
