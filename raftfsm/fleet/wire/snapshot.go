package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"skein/raftfsm/fleet"
)

// A snapshot is
//
//	magic, version byte,
//	chunks: length (4 bytes, big endian, not 0), table byte, rows as CBOR items,
//	end: length 0, number of rows (8 bytes), sha256 of all bytes before it.
//
// A chunk holds rows of one table only, and tables come in order.
const (
	snapshotMagic   = "skein-state\n"
	snapshotVersion = 1

	chunkSize = 256 << 10 // a chunk ends with the row that passes this
	maxChunk  = 2 << 20   // and no row is as large as the rest
)

// WriteState writes a snapshot of a State that nobody writes meanwhile (a
// Clone). It holds one chunk in memory. Equal States give equal bytes.
func WriteState(w io.Writer, s *fleet.State) error {
	out := &snapshotWriter{w: w, sum: sha256.New()}
	out.write([]byte(snapshotMagic))
	out.write([]byte{snapshotVersion})
	for table, row := range s.Rows() {
		if out.add(table, row); out.err != nil {
			break
		}
	}
	out.flush()
	out.end()
	if out.err != nil {
		return fmt.Errorf("write snapshot at index %d: %w", s.Index(), out.err)
	}
	return nil
}

// snapshotWriter remembers the first error and does nothing after it.
type snapshotWriter struct {
	w     io.Writer
	sum   hash.Hash
	chunk bytes.Buffer // table byte and rows, empty between chunks
	table fleet.Table
	rows  uint64
	err   error
}

func (o *snapshotWriter) write(b []byte) {
	if o.err == nil {
		o.sum.Write(b)
		_, o.err = o.w.Write(b)
	}
}

func (o *snapshotWriter) add(table fleet.Table, row any) {
	if o.chunk.Len() >= chunkSize || table != o.table {
		o.flush()
	}
	if o.err != nil {
		return
	}
	if o.chunk.Len() == 0 {
		o.table = table
		o.chunk.WriteByte(byte(table))
	}
	o.rows++
	if o.err = encoder.MarshalToBuffer(row, &o.chunk); o.err == nil && o.chunk.Len() > maxChunk {
		o.err = fmt.Errorf("a row of table %d makes a chunk of %d bytes: %w", table, o.chunk.Len(), ErrTooLarge)
	}
}

func (o *snapshotWriter) flush() {
	if o.chunk.Len() == 0 {
		return
	}
	o.write(binary.BigEndian.AppendUint32(nil, uint32(o.chunk.Len())))
	o.write(o.chunk.Bytes())
	o.chunk.Reset()
}

func (o *snapshotWriter) end() {
	o.write(binary.BigEndian.AppendUint64(make([]byte, 4), o.rows))
	if o.err == nil {
		_, o.err = o.w.Write(o.sum.Sum(nil))
	}
}

// ReadState reads a snapshot and proves it sound: its checksum, and the
// invariants of State. Errors: ErrFormat for one that another build wrote,
// ErrCorrupt, or the reader's.
func ReadState(r io.Reader) (*fleet.State, error) { return ReadStateAs(r, fleet.FormatVersion) }

// ReadStateAs is ReadState for an agent whose build reads a format: see
// fleet.FormatVersion.
func ReadStateAs(r io.Reader, reads int) (*fleet.State, error) {
	builder := fleet.NewBuilder()
	in := &snapshotReader{r: r, sum: sha256.New(), builder: builder, tasks: taskReader{text: builder.Text}}
	s, err := in.read()
	if err == nil && s.Fleet() != nil && s.Fleet().Format > reads {
		// Its rows may look well, but what comes next may not.
		err = fmt.Errorf("the fleet is at format %d, this build reads %d: %w", s.Fleet().Format, reads, ErrFormat)
	}
	if err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	return s, nil
}

type snapshotReader struct {
	r       io.Reader
	sum     hash.Hash
	buf     bytes.Buffer
	rows    uint64
	builder *fleet.Builder
	tasks   taskReader
}

func (in *snapshotReader) read() (*fleet.State, error) {
	if err := in.header(); err != nil {
		return nil, err
	}
	for {
		head, err := in.next(4)
		if err != nil {
			return nil, err
		}
		n := binary.BigEndian.Uint32(head)
		if n == 0 {
			break
		}
		if n > maxChunk {
			return nil, fmt.Errorf("a chunk of %d bytes, at most %d are allowed: %w", n, maxChunk, ErrCorrupt)
		}
		chunk, err := in.next(int(n))
		if err != nil {
			return nil, err
		}
		if err := in.chunk(fleet.Table(chunk[0]), chunk[1:]); err != nil {
			return nil, err
		}
	}
	if err := in.end(); err != nil {
		return nil, err
	}
	s, err := in.builder.State()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return s, nil
}

// next reads n bytes, which are good until the next call.
func (in *snapshotReader) next(n int) ([]byte, error) {
	in.buf.Reset()
	if err := readN(&in.buf, in.r, n); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("it ends too early: %w", ErrCorrupt)
		}
		return nil, err
	}
	in.sum.Write(in.buf.Bytes())
	return in.buf.Bytes(), nil
}

func (in *snapshotReader) header() error {
	head, err := in.next(len(snapshotMagic) + 1)
	if err != nil {
		return err
	}
	if string(head[:len(snapshotMagic)]) != snapshotMagic {
		return fmt.Errorf("it does not begin as a snapshot: %w", ErrCorrupt)
	}
	if version := head[len(snapshotMagic)]; version != snapshotVersion {
		return fmt.Errorf("version %d, this build reads %d: %w", version, snapshotVersion, ErrFormat)
	}
	return nil
}

func (in *snapshotReader) chunk(table fleet.Table, rest []byte) error {
	for len(rest) > 0 {
		after, err := in.row(table, rest)
		if err != nil {
			return fmt.Errorf("row %d: %w", in.rows, err)
		}
		in.rows++
		rest = after
	}
	return nil
}

// row takes the first row of b, and returns what follows it.
func (in *snapshotReader) row(table fleet.Table, b []byte) (after []byte, err error) {
	if table == fleet.TableTasks {
		if task, rest, ok := in.tasks.read(b); ok {
			return rest, damaged(in.builder.AddTask(task))
		}
	}
	row, known := fleet.NewRow(table)
	if !known {
		return nil, fmt.Errorf("table %d is not known: %w", table, ErrFormat)
	}
	if after, err = strict.UnmarshalFirst(b, row); err != nil {
		return nil, explain(b, row, fmt.Errorf("decode %T: %w: %w", row, err, ErrCorrupt))
	}
	return after, damaged(in.builder.Add(table, row))
}

// damaged makes of an error that a snapshot is damaged.
func damaged(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

func (in *snapshotReader) end() error {
	tail, err := in.next(8)
	if err != nil {
		return err
	}
	if n := binary.BigEndian.Uint64(tail); n != in.rows {
		return fmt.Errorf("%d rows of %d: %w", in.rows, n, ErrCorrupt)
	}
	want := in.sum.Sum(nil)
	got, err := in.next(sha256.Size)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("checksum does not match: %w", ErrCorrupt)
	}
	return nil
}
