package gossip

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"golang.org/x/sync/semaphore"
)

const (
	// maxExchangeBytes bounds one direction of a push/pull, and of all that others
	// began and that are served at once. That of 10,000 hosts has 2.9 MB; read
	// and decoded it costs three to four times as much.
	maxExchangeBytes = 6 << 20
	// maxMemberBytes bounds a member in a push/pull: its metadata and the rest.
	maxMemberBytes = maxMetaBytes + 192
	// maxShortBytes bounds pings, their answers and errors.
	maxShortBytes = 4 << 10
	// headBytes is what a push/pull has at least and its header at most.
	headBytes = 64
	// exchangeWait is how long a push/pull waits for others that are served.
	exchangeWait = 5 * time.Second
)

// memberlist's message types that gossip uses or must know; they are its protocol.
const (
	typePing         = 0
	typeIndirectPing = 1
	typeAck          = 2
	typePushPull     = 6
	typeCompound     = 7
	typeCompressed   = 9
	typeNack         = 11
	typeChecksummed  = 12
	typeError        = 13
)

var errBusy = errors.New("too many gossip exchanges at once")

// stream is an authenticated connection. It looks at how a message begins and
// lets only as much be read as such a message needs: a peer that holds the key
// may still be hostile, and memberlist allocates what a header announces.
type stream struct {
	net.Conn          // the TLS connection
	raw      net.Conn // closed without the goodbye, which could block
	buffered *bufio.Reader

	// For streams that others opened.
	release   func()
	exchanges *semaphore.Weighted // bytes of push/pulls; nil: not bounded

	begun   sync.Once
	refused error // what begin found
	left    int64 // that may yet be read
	closed  sync.Once
	holds   int64 // of exchanges
}

func newStream(conn *tls.Conn, raw net.Conn) *stream {
	return &stream{Conn: conn, raw: raw, buffered: bufio.NewReaderSize(conn, 512), release: func() {}}
}

// begin looks at the first message, once, and waits for a place when it is a
// push/pull that another began. Errors: errFormat, errBusy, and what reading says.
func (s *stream) begin() error {
	s.begun.Do(func() { s.refused = s.judge() })
	return s.refused
}

func (s *stream) judge() error {
	if s.exchanges != nil {
		if err := s.SetReadDeadline(time.Now().Add(handshakeTime)); err != nil {
			return err
		}
	}
	first, err := s.buffered.Peek(1)
	if err != nil {
		return err
	}
	switch first[0] {
	case typePing, typeAck, typeError:
		s.left = maxShortBytes
		return nil
	case typePushPull:
		return s.judgeExchange()
	default:
		return fmt.Errorf("%w: stream message of type %d", errFormat, first[0])
	}
}

func (s *stream) judgeExchange() error {
	head, err := s.buffered.Peek(headBytes)
	if err != nil {
		return err
	}
	if s.left, err = exchangeSize(head[1:]); err != nil || s.exchanges == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), exchangeWait)
	defer cancel()
	if s.exchanges.Acquire(ctx, s.left) != nil {
		return errBusy
	}
	s.holds = s.left
	return nil
}

// exchangeSize is how much a push/pull with this header may have: memberlist
// makes room for what it announces before it reads any of it.
func exchangeSize(head []byte) (int64, error) {
	var header struct{ Nodes, UserStateLen int }
	if err := codec.NewDecoderBytes(head, &codec.MsgpackHandle{}).Decode(&header); err != nil {
		return 0, fmt.Errorf("%w: push/pull header: %v", errFormat, err)
	}
	if header.Nodes < 0 || header.Nodes > maxReports {
		return 0, fmt.Errorf("%w: push/pull of %d members, at most %d", errFormat, header.Nodes, maxReports)
	}
	if header.UserStateLen < 0 || header.UserStateLen > maxStateBytes {
		return 0, fmt.Errorf("%w: push/pull state of %d bytes, at most %d",
			errFormat, header.UserStateLen, maxStateBytes)
	}
	return min(maxExchangeBytes, headBytes+int64(header.Nodes)*maxMemberBytes+int64(header.UserStateLen)), nil
}

// Read reads what a message of its kind may hold. It is for one goroutine.
func (s *stream) Read(p []byte) (int, error) {
	if err := s.begin(); err != nil {
		return 0, err
	}
	if s.left <= 0 {
		return 0, fmt.Errorf("%w: stream message is too long", errFormat)
	}
	n, err := s.buffered.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	return n, err
}

// Close gives back what the stream holds.
func (s *stream) Close() error {
	err := io.ErrClosedPipe
	s.closed.Do(func() {
		err = s.raw.Close()
		if s.holds > 0 {
			s.exchanges.Release(s.holds)
		}
		s.release()
	})
	return err
}
