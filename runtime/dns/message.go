package dns

import (
	"encoding/binary"
	"errors"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	headerSize = 12
	// plainUDP is what a client takes over UDP that says nothing of it (RFC 1035, 4.2.1).
	plainUDP = 512
	// maxUDP is what arrives whole on nearly every path (DNS flag day 2020).
	maxUDP = 1232
	// maxQuery bounds a query: a name, and options of EDNS.
	maxQuery = 2_048
	// maxMessage is what TCP has room for.
	maxMessage = 65_535
	// maxAdditionals of a query: EDNS, and a signature.
	maxAdditionals = 2
	// badVersion is the upper part of BADVERS, 16 (RFC 6891, 9).
	badVersion = dnsmessage.RCode(16)
)

// errNoQuery says that a message deserves no answer.
var errNoQuery = errors.New("no query")

// query is a question that was read.
type query struct {
	header   dnsmessage.Header
	question dnsmessage.Question
	name     string // of the question, in lower case
	edns     bool
	version  byte // of EDNS
	do       bool // DNSSEC is wanted
	udpSize  int  // what the client takes over UDP
}

// readQuery reads a query. A refusal is what to answer to one that cannot be read; then no
// more than its header is known, and perhaps its question. errNoQuery: nothing.
func readQuery(b []byte) (q query, refusal dnsmessage.RCode, err error) {
	q.udpSize = plainUDP
	if len(b) < headerSize || len(b) > maxQuery {
		return q, 0, errNoQuery
	}
	var p dnsmessage.Parser
	if q.header, err = p.Start(b); err != nil || q.header.Response {
		return q, 0, errNoQuery
	}
	if q.header.OpCode != 0 {
		return q, dnsmessage.RCodeNotImplemented, nil
	}
	questions, answers, authorities := binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:]),
		binary.BigEndian.Uint16(b[8:])
	additionals := binary.BigEndian.Uint16(b[10:])
	if questions != 1 || answers != 0 || authorities != 0 || additionals > maxAdditionals {
		return q, dnsmessage.RCodeFormatError, nil
	}
	question, err := p.Question()
	if err != nil {
		return q, dnsmessage.RCodeFormatError, nil
	}
	q.question, q.name = question, strings.ToLower(question.Name.String())
	if !q.readEDNS(&p) {
		return q, dnsmessage.RCodeFormatError, nil
	}
	return q, dnsmessage.RCodeSuccess, nil
}

// readEDNS reports whether what follows the question can be read.
func (q *query) readEDNS(p *dnsmessage.Parser) bool {
	if p.SkipAllQuestions() != nil || p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil {
		return false
	}
	for {
		h, err := p.AdditionalHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return true
		}
		if err != nil {
			return false
		}
		if h.Type == dnsmessage.TypeOPT {
			if q.edns || h.Name.String() != "." {
				return false
			}
			q.edns, q.do, q.version = true, h.DNSSECAllowed(), byte(h.TTL>>16)
			q.udpSize = min(max(int(h.Class), plainUDP), maxUDP)
		}
		if p.SkipAdditional() != nil {
			return false
		}
	}
}

// reply is an answer as it is put together.
type reply struct {
	code        dnsmessage.RCode
	own         bool // the answer is of Skein's zone
	answers     []record
	authority   []record
	additionals []record
}

// record is a resource record.
type record struct {
	name string
	ttl  uint32
	body dnsmessage.ResourceBody
}

// pack writes a reply of at most size bytes. What does not fit is left out: additional
// records first, then answers, which the reply then says.
func (q *query) pack(r reply, size int) ([]byte, error) {
	b, err := q.build(r, false)
	if err != nil || len(b) <= size {
		return b, err
	}
	r.additionals = nil
	if b, err = q.build(r, false); err != nil || len(b) <= size {
		return b, err
	}
	for len(r.answers) > 0 {
		r.answers = r.answers[:len(r.answers)/2]
		if b, err = q.build(r, true); err != nil || len(b) <= size {
			return b, err
		}
	}
	r.authority = nil
	return q.build(r, true)
}

func (q *query) build(r reply, truncated bool) ([]byte, error) {
	h := dnsmessage.Header{
		ID: q.header.ID, Response: true, OpCode: q.header.OpCode, RecursionDesired: q.header.RecursionDesired,
		CheckingDisabled: q.header.CheckingDisabled, RecursionAvailable: true, Authoritative: r.own, Truncated: truncated,
		RCode: r.code & 0xf,
	}
	b := dnsmessage.NewBuilder(make([]byte, 0, plainUDP), h)
	b.EnableCompression()
	var errs []error
	if q.question.Name.Length > 0 {
		errs = append(errs, b.StartQuestions(), b.Question(q.question))
	}
	errs = append(errs, b.StartAnswers())
	errs = append(errs, put(&b, r.answers)...)
	errs = append(errs, b.StartAuthorities())
	errs = append(errs, put(&b, r.authority)...)
	errs = append(errs, b.StartAdditionals())
	errs = append(errs, put(&b, r.additionals)...)
	if q.edns {
		var opt dnsmessage.ResourceHeader
		errs = append(errs, opt.SetEDNS0(maxUDP, r.code, q.do), b.OPTResource(opt, dnsmessage.OPTResource{}))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return b.Finish()
}

func put(b *dnsmessage.Builder, records []record) []error {
	var errs []error
	for _, r := range records {
		name, err := dnsmessage.NewName(r.name)
		if err != nil {
			return append(errs, err)
		}
		h := dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: r.ttl}
		switch body := r.body.(type) {
		case *dnsmessage.AResource:
			err = b.AResource(h, *body)
		case *dnsmessage.AAAAResource:
			err = b.AAAAResource(h, *body)
		case *dnsmessage.SRVResource:
			err = b.SRVResource(h, *body)
		case *dnsmessage.SOAResource:
			err = b.SOAResource(h, *body)
		default:
			err = errors.New("record of a type that is never answered")
		}
		if err != nil {
			return append(errs, err)
		}
	}
	return errs
}
