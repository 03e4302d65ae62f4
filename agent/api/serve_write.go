package api

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"skein/agent/api/refusal"
	"skein/agent/api/types"
	"skein/agent/api/write"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

// serveWrite reads a write, then brings it to the leader and answers once it
// is committed.
func (a *API) serveWrite(rt route, trust Trust, w http.ResponseWriter, r *http.Request) {
	err := func() error {
		by, err := a.authorize(trust, r)
		if err != nil {
			return err
		}
		body, err := write.ReadBody(w, r)
		if err != nil {
			return err
		}
		c := &write.Call{Request: r, Body: body, Tools: a.tools()}
		o, err := rt.write(c)
		if err != nil {
			return err
		}
		receipt, err := c.Receipt(o)
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

// tools are what orders need of this host.
func (a *API) tools() write.Tools {
	return write.Tools{
		Images: a.Images, Tokens: a.Tokens, ReservedPorts: a.ReservedPorts,
		Now:   func() fleet.Time { return fleet.TimeOf(a.Now()) },
		NewID: a.newID,
	}
}

// newID returns 32 hex digits.
func (a *API) newID() string {
	b := make([]byte, 16)
	if _, err := io.ReadFull(a.Random, b); err != nil {
		panic("api: no randomness: " + err.Error())
	}
	return hex.EncodeToString(b)
}

// authorize finds out on whose word a write is made. A worker, which holds no
// State to check a token against, only asks that there is one: the voters check.
func (a *API) authorize(trust Trust, r *http.Request) (by string, err error) {
	v := a.Voter()
	given := r.Header.Get("Authorization") != ""
	switch {
	case trust == TrustVoter:
		if by = types.Clean(r.Header.Get(headerBy)); by == "" {
			by = "operator"
		}
		return by, nil
	case trust == TrustRoot && v != nil:
		return "operator", nil
	case !given && trust == TrustRoot:
		return "", refusal.New(http.StatusUnauthorized, "token-needed",
			"this host is a worker, and the voters do not take its word for a write",
			"give an operator token (--token, SKEIN_TOKEN, or operator.token in the configuration folder), or ask a voter; "+
				"skein token create --operator on a voter makes one")
	case !given:
		return "", refusal.New(http.StatusUnauthorized, "token-needed", "writes need an operator token",
			"send Authorization: Bearer with one; skein token create --operator on a voter makes one")
	case v == nil && hops(r, trust) > 0:
		return "", refusal.New(http.StatusServiceUnavailable, "not-a-voter", "this host holds no State", "ask another voter")
	case v == nil:
		return "", nil
	}
	return a.operator(r, v.State())
}

// operator checks the operator token of a request against State.
func (a *API) operator(r *http.Request, st *fleet.State) (by string, err error) {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	refused := refusal.New(http.StatusForbidden, "token-refused", "the operator token is not one of this fleet's",
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
		return "", refusal.New(http.StatusForbidden, "token-expired", "the operator token ended at "+row.NotAfter.String(),
			"make another on a voter: skein token create --operator")
	}
	return "operator " + string(id), nil
}

// carryOut does a write on the leader. A refusal because the row moved is
// tried again on the State it moved to.
func (a *API) carryOut(
	rt route, o *write.Order, v Voter, item fleet.Item, w http.ResponseWriter, r *http.Request,
) error {
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
		for _, warning := range append(o.Warnings, warnings...) {
			written.Warnings = append(written.Warnings,
				types.Warning{Field: warning.Field, Message: types.Clean(warning.Message)})
		}
		after := a.view(r, v, true)
		w.Header().Set(types.HeaderIndex, strconv.FormatUint(index, 10))
		fleetHeader(after.State, w.Header())
		writeJSON(w, rt.StatusCode(), o.Answer(after, ids, written))
		return nil
	}
	return err
}

// commit proposes a write once, unless its receipt says that it was made
// before. Index is where it was committed.
func (a *API) commit(
	ctx context.Context, o *write.Order, v Voter, item fleet.Item,
) ([]string, uint64, []strictjson.Warning, error) {
	st := v.State()
	if row := st.Receipt(item.Receipt.Token); row != nil {
		if subtle.ConstantTimeCompare(row.BodyHash, item.Receipt.BodyHash) != 1 {
			return nil, 0, nil, fmt.Errorf("client token %q: %w", item.Receipt.Token, fleet.ErrReceiptReused)
		}
		return row.IDs, row.Index, nil, nil
	}
	command, warnings, err := o.Command(ctx, st)
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
