package http1

const (
	// maxChunkLine bounds the size and the extensions of a chunk.
	maxChunkLine = 128
	// maxTrailer bounds the fields after the last chunk.
	maxTrailer = 8 << 10
	// maxWaste bounds what a body may have beside its data: bytes of lines that each
	// chunk's data does not outweigh.
	maxWaste = 4 << 10
)

// ChunkedBody finds the end of a chunked body in bytes that come piece by piece. The
// zero value is at a body's beginning. It refuses what is not as RFC 9112 has it.
type ChunkedBody struct {
	state  chunkState
	size   int64 // of the chunk, while its line is read; then what is missing of its data
	line   int   // bytes of the line so far
	waste  int
	quoted bool
	last   bool // the chunk of size 0 has been seen

	trailer []byte // the line of the trailer so far
	total   int    // bytes of the trailer so far
	data    int64
}

type chunkState uint8

const (
	chunkSizeFirst chunkState = iota
	chunkSize
	chunkExtension
	chunkSizeEnd
	chunkData
	chunkDataEnd
	chunkDataEndLine
	chunkTrailer
	chunkTrailerEnd
	chunkDone
)

// Data is how many bytes of data there were so far, without their chunks' lines.
func (c *ChunkedBody) Data() int64 { return c.data }

// Scan returns how many bytes of text belong to the body, and whether the body ends with
// them. Errors: ErrMalformed.
func (c *ChunkedBody) Scan(text []byte) (n int, done bool, err error) {
	for n < len(text) {
		if c.state == chunkData {
			take := int(min(c.size, int64(len(text)-n)))
			n += take
			c.size -= int64(take)
			c.data += int64(take)
			if c.size == 0 {
				c.state = chunkDataEnd
			}
			continue
		}
		if err = c.step(text[n]); err != nil {
			return n, false, err
		}
		n++
		if c.state == chunkDone {
			return n, true, nil
		}
	}
	return n, c.state == chunkDone, nil
}

func (c *ChunkedBody) step(b byte) error {
	switch c.state {
	case chunkSizeFirst, chunkSize:
		return c.stepSize(b)
	case chunkExtension:
		return c.stepExtension(b)
	case chunkSizeEnd:
		if b != '\n' {
			return malformed("the line of a chunk has a bare carriage return")
		}
		return c.endLine()
	case chunkDataEnd:
		if b != '\r' {
			return malformed("a chunk is longer than its size")
		}
		c.state = chunkDataEndLine
	case chunkDataEndLine:
		if b != '\n' {
			return malformed("a chunk is longer than its size")
		}
		c.state = chunkSizeFirst
	case chunkTrailer, chunkTrailerEnd:
		return c.stepTrailer(b)
	case chunkData, chunkDone:
	}
	return nil
}

func (c *ChunkedBody) stepSize(b byte) error {
	c.line++
	switch {
	case class[b]&hexByte != 0:
		if c.size > 1<<56 {
			return malformed("the size of a chunk is too large")
		}
		if c.line > 16 {
			return malformed("the size of a chunk has too many digits")
		}
		c.size = c.size<<4 | int64(unhex(b))
		c.state = chunkSize
		return nil
	case c.state == chunkSizeFirst:
	case b == '\r':
		c.state = chunkSizeEnd
		return nil
	case b == ';':
		c.state = chunkExtension
		return nil
	}
	return malformed("the size of a chunk is no hexadecimal number")
}

// stepExtension lets extensions pass that are tokens and quoted strings without escapes.
func (c *ChunkedBody) stepExtension(b byte) error {
	c.line++
	switch {
	case c.line > maxChunkLine:
		return malformed("the extensions of a chunk are too long")
	case b == '"':
		c.quoted = !c.quoted
		return nil
	case c.quoted:
		if b >= 0x20 && b < 0x7f && b != '\\' {
			return nil
		}
	case b == '\r':
		c.state = chunkSizeEnd
		return nil
	case class[b]&tokenByte != 0 || b == '=' || b == ';':
		return nil
	}
	return malformed("an extension of a chunk has a byte that it may not have")
}

func (c *ChunkedBody) endLine() error {
	c.last = c.size == 0
	c.waste = max(0, c.waste+c.line+2-16-2*int(min(c.size, maxWaste)))
	if c.waste > maxWaste {
		return malformed("its chunks are too small")
	}
	c.line = 0
	c.state = chunkData
	if c.last {
		c.state = chunkTrailer
	}
	return nil
}

func (c *ChunkedBody) stepTrailer(b byte) error {
	if c.total++; c.total > maxTrailer {
		return malformed("its trailer is too long")
	}
	switch {
	case c.state == chunkTrailerEnd && b != '\n':
		return malformed("its trailer has a bare carriage return")
	case c.state == chunkTrailerEnd:
		return c.endTrailerLine()
	case b == '\r':
		c.state = chunkTrailerEnd
	default:
		c.trailer = append(c.trailer, b)
	}
	return nil
}

func (c *ChunkedBody) endTrailerLine() error {
	if len(c.trailer) == 0 {
		c.state = chunkDone
		return nil
	}
	f, err := readField(c.trailer)
	if err != nil {
		return err
	}
	if f.kind != endToEnd {
		return malformed("its trailer has a field that frames or routes messages")
	}
	c.trailer = c.trailer[:0]
	c.state = chunkTrailer
	return nil
}

func unhex(b byte) byte {
	switch {
	case b <= '9':
		return b - '0'
	case b <= 'F':
		return b - 'A' + 10
	default:
		return b - 'a' + 10
	}
}
