package fleet

import "bytes"

// knownReceipt answers for a write that may be a retry: done when the token was
// used before, with the first answer or ErrReceiptReused. Only writes that were
// accepted leave a receipt: a refused one may succeed later.
func (s *State) knownReceipt(r *Receipt) (done bool, res Result) {
	if err := checkReceipt(r); err != nil {
		return true, Result{Err: err}
	}
	row := s.Receipt(r.Token)
	switch {
	case row == nil:
		return false, Result{}
	case !bytes.Equal(row.BodyHash, r.BodyHash):
		return true, Result{Err: refuse(ErrReceiptReused, "client token %q", r.Token)}
	default:
		return true, Result{IDs: row.IDs}
	}
}

func checkReceipt(r *Receipt) error {
	if len(r.Token) == 0 || len(r.Token) > maxClientToken {
		return field("clientToken", "is %d bytes long: 1 to %d are allowed", len(r.Token), maxClientToken)
	}
	for _, c := range []byte(r.Token) {
		if c < 33 || c > 126 {
			return field("clientToken", "holds byte %#x: printable ASCII without space is allowed", c)
		}
	}
	return checkHash("bodyHash", r.BodyHash)
}

func (s *State) putReceipt(x *applyContext, r *Receipt, ids []string) {
	if old := get(s.receipts, r.Token); old != nil { // expired, or knownReceipt had found it
		s.removeReceipt(old)
	}
	row := &ReceiptRow{Token: r.Token, BodyHash: r.BodyHash, IDs: ids, At: x.now, Index: x.index}
	s.receipts.Set(row.Token, row)
	s.receiptsByAge.Set(row)
	for {
		oldest, _ := s.receiptsByAge.Min()
		if s.receipts.Len() <= MaxReceipts && oldest.At.Add(ReceiptKept) > x.now {
			return
		}
		s.removeReceipt(oldest)
	}
}

func (s *State) removeReceipt(row *ReceiptRow) {
	s.receipts.Delete(row.Token)
	s.receiptsByAge.Delete(row)
}
