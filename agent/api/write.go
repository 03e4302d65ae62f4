package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"skein/agent/api/types"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

// call is a write as it arrived.
type call struct {
	*http.Request
	api  *API
	body []byte
}

// order is a write that has been read and found well-formed. What remains
// needs State, and is done where the leader is.
type order struct {
	token    string // clientToken of the body
	warnings []strictjson.Warning
	// command makes the command out of the State it will meet. It may be called
	// again when that State moved meanwhile.
	command func(ctx context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error)
	// answer is given what was made and the State after it.
	answer func(v *view, ids []string, w types.Written) any
}

// serveWrite reads a write, then brings it to the leader and answers once it
// is committed.
func (a *API) serveWrite(rt route, trust Trust, w http.ResponseWriter, r *http.Request) {
	err := func() error {
		by, err := a.authorize(trust, r)
		if err != nil {
			return err
		}
		body, err := readBody(w, r)
		if err != nil {
			return err
		}
		o, err := rt.write(&call{Request: r, api: a, body: body})
		if err != nil {
			return err
		}
		receipt, err := a.receipt(r, body, o.token)
		if err != nil {
			return err
		}
		return a.withLeader(w, r, forwardedCall{trust: trust, by: by, token: receipt.Token, body: body,
			here: func(v Voter) error {
				return a.carryOut(rt, o, v, fleet.Item{Receipt: &receipt, By: by}, w, r)
			}})
	}()
	if err != nil {
		a.writeError(w, r, err)
	}
}

// authorize finds out on whose word a write is made. A worker, which holds no
// State to check a token against, only asks that there is one: the voters check.
func (a *API) authorize(trust Trust, r *http.Request) (by string, err error) {
	v := a.Voter()
	given := r.Header.Get("Authorization") != ""
	switch {
	case trust == TrustVoter:
		if by = clean(r.Header.Get(headerBy)); by == "" {
			by = "operator"
		}
		return by, nil
	case trust == TrustRoot && v != nil:
		return "operator", nil
	case !given && trust == TrustRoot:
		return "", refuse(http.StatusUnauthorized, "token-needed",
			"this host is a worker, and the voters do not take its word for a write",
			"give an operator token (--token, SKEIN_TOKEN, or operator.token in the configuration folder), or ask a voter; "+
				"skein token create --operator on a voter makes one")
	case !given:
		return "", refuse(http.StatusUnauthorized, "token-needed", "writes need an operator token",
			"send Authorization: Bearer with one; skein token create --operator on a voter makes one")
	case v == nil && hops(r, trust) > 0:
		return "", refuse(http.StatusServiceUnavailable, "not-a-voter", "this host holds no State", "ask another voter")
	case v == nil:
		return "", nil
	}
	return a.operator(r, v.State())
}

// operator checks the operator token of a request against State.
func (a *API) operator(r *http.Request, st *fleet.State) (by string, err error) {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	refused := refuse(http.StatusForbidden, "token-refused", "the operator token is not one of this fleet's",
		"make one on a voter: skein token create --operator")
	if !ok || a.Tokens == nil {
		return "", refused
	}
	id, hash, err := a.Tokens.Read(strings.TrimSpace(text))
	if err != nil {
		return "", refused
	}
	row := st.Token(id)
	if row == nil || row.Kind != fleet.TokenOperator || subtle.ConstantTimeCompare(row.Hash, hash) != 1 {
		return "", refused
	}
	if now := max(fleet.TimeOf(a.Now()), st.Now()); row.NotAfter <= now {
		return "", refuse(http.StatusForbidden, "token-expired", "the operator token ended at "+row.NotAfter.String(),
			"make another on a voter: skein token create --operator")
	}
	return "operator " + string(id), nil
}

// readBody reads a bounded JSON body.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if kind := r.Header.Get("Content-Type"); kind != "" {
		media, _, err := mime.ParseMediaType(kind)
		if err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") &&
			!strings.HasPrefix(media, "application/x-amz-json") {
			return nil, refuse(http.StatusUnsupportedMediaType, "media-type", "the body is "+clean(kind),
				"send application/json")
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var over *http.MaxBytesError
	if errors.As(err, &over) {
		return nil, refuse(http.StatusRequestEntityTooLarge, "too-large",
			fmt.Sprintf("the body has more than %d bytes", maxBody), "")
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "body", "the body could not be read: "+err.Error(), "")
	}
	return body, nil
}

// receipt makes repeating a write safe. Its token comes from the client, or is
// made here, so that our own repetitions are safe too.
func (a *API) receipt(r *http.Request, body []byte, fromBody string) (fleet.Receipt, error) {
	token := r.Header.Get(types.HeaderToken)
	switch {
	case token != "" && fromBody != "" && token != fromBody:
		return fleet.Receipt{}, &fleet.FieldError{Field: "clientToken", Why: "differs from the header " + types.HeaderToken +
			"; keep one"}
	case token == "":
		token = fromBody
	}
	if token == "" {
		token = a.random(16)
	}
	if len(token) > maxClientToken || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return fleet.Receipt{},
			&fleet.FieldError{Field: "clientToken", Why: fmt.Sprintf("1 to %d printable ASCII characters without spaces",
				maxClientToken)}
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s\n", r.Method, r.URL.Path, r.URL.RawQuery)
	h.Write(body)
	return fleet.Receipt{Token: token, BodyHash: h.Sum(nil)}, nil
}

// random returns 2n hex digits.
func (a *API) random(n int) string {
	b := make([]byte, n)
	if _, err := io.ReadFull(a.Random, b); err != nil {
		panic("api: no randomness: " + err.Error())
	}
	return hex.EncodeToString(b)
}

// carryOut does a write on the leader. A refusal because the row moved is
// tried again on the State it moved to.
func (a *API) carryOut(rt route, o *order, v Voter, item fleet.Item, w http.ResponseWriter, r *http.Request) error {
	var err error
	for range movedTries {
		var ids []string
		var warnings []strictjson.Warning
		var index uint64
		ids, index, warnings, err = a.commit(r.Context(), o, v, item)
		if errors.Is(err, fleet.ErrMoved) {
			continue
		}
		if err != nil {
			return err
		}
		written := types.Written{Index: index, ClientToken: item.Receipt.Token, Warnings: []types.Warning{}}
		for _, warning := range append(o.warnings, warnings...) {
			written.Warnings = append(written.Warnings, types.Warning{Field: warning.Field, Message: clean(warning.Message)})
		}
		view := a.view(r, v, true)
		w.Header().Set(types.HeaderIndex, formatUint(index))
		fleetHeader(view.st, w.Header())
		writeJSON(w, rt.statusCode(), o.answer(view, ids, written))
		return nil
	}
	return err
}

// commit proposes a write once, unless its receipt says that it was made
// before. Index is where it was committed.
func (a *API) commit(
	ctx context.Context, o *order, v Voter, item fleet.Item,
) ([]string, uint64, []strictjson.Warning, error) {
	st := v.State()
	if row := st.Receipt(item.Receipt.Token); row != nil {
		if subtle.ConstantTimeCompare(row.BodyHash, item.Receipt.BodyHash) != 1 {
			return nil, 0, nil, fmt.Errorf("client token %q: %w", item.Receipt.Token, fleet.ErrReceiptReused)
		}
		return row.IDs, row.Index, nil, nil
	}
	command, warnings, err := o.command(ctx, st)
	if err != nil {
		return nil, 0, nil, err
	}
	item.Command = command
	ctx, cancel := context.WithTimeout(ctx, proposeTime)
	defer cancel()
	results, index, err := v.Propose(ctx, []fleet.Item{item})
	switch {
	case err != nil:
		return nil, 0, nil, err
	case len(results) != 1:
		return nil, 0, nil, fmt.Errorf("%d results for one command", len(results))
	}
	return results[0].IDs, index, warnings, results[0].Err
}

func (rt route) statusCode() int {
	if rt.status != 0 {
		return rt.status
	}
	return http.StatusOK
}
