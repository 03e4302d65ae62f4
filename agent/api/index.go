package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

// awaitIndex waits until a voter's State shows the index that a read asks for:
// a follower lags behind a write that its reader has just been told of. The wait
// is bounded; the answer then says that it is behind.
func (a *API) awaitIndex(r *http.Request, v Voter) (asked uint64, err error) {
	asked, err = askedIndex(r.Header.Get(types.HeaderIndex), v.State().Fleet())
	if err != nil || v.State().Index() >= asked {
		return asked, err
	}
	applied := make(chan struct{}, 1)
	cancel := v.Subscribe(func(uint64, fleet.ChangeSet) {
		select {
		case applied <- struct{}{}:
		default:
		}
	})
	defer cancel()
	bound := time.NewTimer(types.IndexWait)
	defer bound.Stop()
	for v.State().Index() < asked {
		select {
		case <-applied:
		case <-bound.C:
			a.metrics.behind.Inc()
			return asked, nil
		case <-r.Context().Done():
			return asked, r.Context().Err()
		}
	}
	return asked, nil
}

// askedIndex reads the index that a request asks a fleet for, 0 for none.
func askedIndex(header string, f *fleet.Fleet) (uint64, error) {
	if header == "" {
		return 0, nil
	}
	var asked uint64
	for part := range strings.SplitSeq(header, ",") {
		of, number, named := strings.Cut(strings.TrimSpace(part), "=")
		if !named {
			number = of
		}
		index, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return 0, &fleet.FieldError{Field: types.HeaderIndex,
				Why: fmt.Sprintf("%q is refused: it must be a log index, or fleet=index pairs joined with commas",
					types.Clean(endpoint.Clip(header)))}
		}
		if !named || f != nil && of == string(f.ID) {
			asked = max(asked, index)
		}
	}
	return asked, nil
}
