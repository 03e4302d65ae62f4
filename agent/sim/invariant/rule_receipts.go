package invariant

import (
	"fmt"
	"slices"

	"skein/raftfsm/fleet"
)

// receipt is the one effect of a client token.
type receipt struct {
	index uint64
	at    fleet.Time
	ids   []string
}

// repeated reports whether a write was a retry that changed nothing, which
// State's own receipt of it tells, and checks that this is right.
//
// I11: a token has one effect for as long as its receipt is kept (24 h, and as
// many as State keeps), and every retry gets the first answer.
func (c *Checker) repeated(e *Entry, item *fleet.Item, result *fleet.Result) bool {
	token := item.Receipt.Token
	first, known := c.log.receipts[token]
	kept := known && first.at.Add(fleet.ReceiptKept) > c.model.now
	row := e.After.Receipt(token)
	again := row == nil || row.Index != e.Index || known && first.index == e.Index
	c.hold(oneEffect, !kept || again, func() string {
		return fmt.Sprintf("client token %s was carried out at index %d, and again at %d", token, first.index, e.Index)
	})
	if again {
		c.hold(oneEffect, !known || slices.Equal(first.ids, result.IDs), func() string {
			return fmt.Sprintf("client token %s was answered %q at index %d, and %q at %d", token, first.ids, first.index,
				result.IDs, e.Index)
		})
		return true
	}
	c.keepReceipt(token, receipt{e.Index, c.model.now, result.IDs})
	return false
}

// keepReceipt remembers a receipt for as long as State may, so that a month of
// writes does not stay.
func (c *Checker) keepReceipt(token string, r receipt) {
	l := &c.log
	l.receipts[token] = r
	l.byAge = append(l.byAge, token)
	for len(l.byAge) > 0 {
		oldest, there := l.receipts[l.byAge[0]]
		if there && len(l.byAge) < fleet.MaxReceipts && oldest.at.Add(fleet.ReceiptKept) > c.model.now {
			return
		}
		delete(l.receipts, l.byAge[0])
		l.byAge = l.byAge[1:]
	}
}

// Ack is a write that a client was told is done.
type Ack struct {
	Index uint64
	Token string // of its receipt; empty: none
	IDs   []string
	What  string // for people
}

// Acked takes in an acknowledgement.
//
// I11: it comes after the commit, and says what the log says.
func (c *Checker) Acked(a Ack) {
	r, known := c.log.receipts[a.Token]
	ok := a.Index <= c.log.index && (a.Token == "" || known && slices.Equal(r.ids, a.IDs))
	c.hold(ackedIsCommitted, ok, func() string {
		return fmt.Sprintf("%s was acknowledged at index %d with %q; the log is at %d, and its receipt %q is of index %d "+
			"with %q", a.What, a.Index, a.IDs, c.log.index, a.Token, r.index, r.ids)
	})
	c.acked = append(c.acked, a)
}

// FinalLog is asked at the end: an acknowledged write survives the loss of any
// minority of voters (I11), so the log that a majority has then has them all.
func (c *Checker) FinalLog(has func(Ack) bool) {
	for _, a := range c.acked {
		c.hold(ackedIsKept, has(a), func() string {
			return fmt.Sprintf("%s was acknowledged at index %d, and is not in the final log", a.What, a.Index)
		})
	}
}
