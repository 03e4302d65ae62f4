package write

import (
	"context"
	"fmt"
	"net/http"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/agent/api/view"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

func fleetEndpoints() []Endpoint {
	return []Endpoint{change(http.MethodPost, "/v1/fleet/finalize",
		"End an upgrade: raise the fleet's format to what every agent reads; older agents are refused from then on",
		types.ForceBody{}, types.FleetWritten{}, (*Call).finalize, endpoint.Force)}
}

// finalize raises the fleet's format at once. Where some agents read more and others
// do not, State refuses and names those that do not; by force only voters count.
func (c *Call) finalize() (*Order, error) {
	force, token, err := c.force()
	if err != nil {
		return nil, err
	}
	return &Order{
		Token: token,
		Command: func(_ context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			f, read := st.Fleet(), 0
			if f == nil {
				return nil, nil, fleet.ErrNoFleet
			}
			if read = st.ReadFormat(); force {
				read = st.VotersReadFormat()
			}
			if read <= f.Format {
				for h := range st.Hosts() {
					read = max(read, h.ReadsFormat())
				}
			}
			if read <= f.Format {
				return nil, nil, fmt.Errorf("raise format: the fleet is at %d, and no agent reads more: %w", f.Format,
					fleet.ErrConflict)
			}
			return fleet.RaiseFormat{Format: read, Force: force}, nil, nil
		},
		Answer: func(v *view.View, _ []string, w types.Written) any {
			return &types.FleetWritten{Written: w, Fleet: v.FleetInfo()}
		},
	}, nil
}
