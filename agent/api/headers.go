package api

import (
	"net/http"
	"strconv"

	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

// Headers that agents write for agents; they are taken only from peers.
const (
	headerHops   = "X-Skein-Hops"
	headerBy     = "X-Skein-By"
	headerWait   = "X-Skein-Wait-Ms"
	headerPublic = "X-Skein-Public"
	// headerAstray marks the answer of a host that passes a request on no further.
	headerAstray = "X-Skein-Astray"
)

// fleetHeader says which fleet an index is of.
func fleetHeader(st *fleet.State, h http.Header) {
	if f := st.Fleet(); f != nil {
		h.Set(types.HeaderFleet, string(f.ID))
	}
}

// metaHeaders puts the meta of an answer where clients find it without decoding.
func metaHeaders(m types.Meta, h http.Header) {
	h.Set(types.HeaderIndex, strconv.FormatUint(m.Index, 10))
	h.Set(types.HeaderStale, strconv.FormatInt(m.StaleMs, 10))
	if m.CutOff {
		h.Set(types.HeaderCutOff, "true")
	}
	if !m.AloneSince.IsZero() {
		h.Set(types.HeaderAlone, fleet.Time(m.AloneSince).String())
	}
}
