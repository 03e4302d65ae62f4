package dns

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// askTimeout is how long one resolver may take. Clients wait 3 s or more.
	askTimeout = 1200 * time.Millisecond
	// rounds is how often each resolver is asked.
	rounds = 2
)

// errNoResolver says that the host has none.
var errNoResolver = errors.New("this host has no resolver")

// resolvers are those of the host, asked in their order but for those that failed last.
type resolvers struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu   sync.Mutex
	list []netip.AddrPort
}

func (r *resolvers) set(list []netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = list
}

func (r *resolvers) get() []netip.AddrPort {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list
}

// failed puts a resolver behind the others.
func (r *resolvers) failed(server netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.list) > 1 && r.list[0] == server {
		r.list = append(append([]netip.AddrPort(nil), r.list[1:]...), server)
	}
}

// ask passes a query on and returns the answer as bytes, with the client's id. An answer
// that says that its resolver cannot, or will not, is only returned if no other has a
// better one.
func (r *resolvers) ask(ctx context.Context, q *query, network string) ([]byte, error) {
	err := errNoResolver
	var second []byte
	for range rounds {
		for _, server := range r.get() {
			answer, code, askErr := r.askOne(ctx, server, q, network)
			switch {
			case ctx.Err() != nil:
				return nil, ctx.Err()
			case askErr != nil:
				err = askErr
				r.failed(server)
			case code == dnsmessage.RCodeServerFailure || code == dnsmessage.RCodeRefused ||
				code == dnsmessage.RCodeNotImplemented:
				second = answer
			default:
				return answer, nil
			}
		}
		if second != nil {
			return second, nil
		}
	}
	return nil, err
}

func (r *resolvers) askOne(ctx context.Context, server netip.AddrPort, q *query,
	network string) ([]byte, dnsmessage.RCode, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	// A new socket for each query: its port is chance, as the id is, and what comes from
	// elsewhere does not reach it.
	conn, err := r.dial(ctx, network, server.String())
	if err != nil {
		return nil, 0, fmt.Errorf("resolver %s: %w", server, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	answer, code, err := exchange(conn, q, network == "tcp")
	if err != nil {
		return nil, 0, fmt.Errorf("resolver %s: %w", server, err)
	}
	return answer, code, nil
}

// exchange sends a query and waits for its answer; anything else that comes is skipped.
func exchange(conn net.Conn, q *query, stream bool) ([]byte, dnsmessage.RCode, error) {
	asked, err := q.passedOn()
	if err != nil {
		return nil, 0, err
	}
	if stream {
		err = writeFramed(conn, asked)
	} else {
		_, err = conn.Write(asked)
	}
	if err != nil {
		return nil, 0, err
	}
	for {
		b, err := readMessage(conn, stream)
		if err != nil {
			return nil, 0, err
		}
		if code, ok := q.answeredBy(b, asked); ok {
			copy(b, idBytes(q.header.ID))
			return b, code, nil
		}
	}
}

func readMessage(conn net.Conn, stream bool) ([]byte, error) {
	if stream {
		return readFramed(conn, maxMessage)
	}
	b := make([]byte, maxUDP+1)
	n, err := conn.Read(b)
	return b[:n], err
}

// passedOn is the query as resolvers are asked, under an id that nobody can guess. Of EDNS
// no options are passed on: they are between neighbours.
func (q *query) passedOn() ([]byte, error) {
	var id [2]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	h := dnsmessage.Header{
		ID: binary.BigEndian.Uint16(id[:]), RecursionDesired: q.header.RecursionDesired,
		AuthenticData: q.header.AuthenticData, CheckingDisabled: q.header.CheckingDisabled,
	}
	b := dnsmessage.NewBuilder(make([]byte, 0, plainUDP), h)
	errs := []error{b.StartQuestions(), b.Question(q.question)}
	if q.edns {
		var opt dnsmessage.ResourceHeader
		errs = append(errs, opt.SetEDNS0(q.udpSize, dnsmessage.RCodeSuccess, q.do), b.StartAdditionals(),
			b.OPTResource(opt, dnsmessage.OPTResource{}))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return b.Finish()
}

// answeredBy reports whether a message answers what was asked: its id, and its question.
func (q *query) answeredBy(b, asked []byte) (dnsmessage.RCode, bool) {
	if len(b) < headerSize || b[0] != asked[0] || b[1] != asked[1] {
		return 0, false
	}
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil || !h.Response || h.OpCode != 0 {
		return 0, false
	}
	question, err := p.Question()
	if err != nil {
		// Resolvers that cannot read a query may leave its question out.
		return h.RCode, errors.Is(err, dnsmessage.ErrSectionDone) && h.RCode != dnsmessage.RCodeSuccess
	}
	return h.RCode, question.Type == q.question.Type && question.Class == q.question.Class &&
		strings.EqualFold(question.Name.String(), q.name)
}

func idBytes(id uint16) []byte { return []byte{byte(id >> 8), byte(id)} }

// readFramed reads a message as TCP carries it, of at most limit bytes.
func readFramed(r io.Reader, limit int) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(size[:]))
	if n > limit {
		return nil, fmt.Errorf("a message of %d bytes, at most %d are read", n, limit)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

func writeFramed(w io.Writer, b []byte) error {
	_, err := w.Write(append(idBytes(uint16(len(b))), b...))
	return err
}
