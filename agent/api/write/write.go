// Package write turns requests for writes into commands: it reads bodies and
// parameters, makes the receipt that lets a write be repeated, and says how the answer
// is made of the State after it.
//
// Each noun has a file with its endpoints and its orders. The package proposes nothing:
// who may ask, bringing an order to the leader and repeating it are for the server.
package write

import (
	"context"
	"net/http"
	"slices"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/agent/api/view"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

// Call is a write as it was asked for.
type Call struct {
	*http.Request // address and query; its body has been read
	Body          []byte
	Tools
}

// Tools are what orders need beside the request.
type Tools struct {
	Images        Images // nil: images are not pinned, with a warning
	Tokens        Tokens // nil: no tokens can be made
	ReservedPorts []int  // host ports of the agent itself, refused to tasks
	Now           func() fleet.Time
	NewID         func() string // 32 hex digits, by chance
}

// Order is a write that has been read and found well-formed. The rest needs State,
// and is done on the leader.
type Order struct {
	Token    string // clientToken of the body
	Warnings []strictjson.Warning
	// Command makes the command out of the State it will meet. It may be called
	// again when that State moved meanwhile.
	Command func(ctx context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error)
	// Answer is given what was made and the State after it.
	Answer func(v *view.View, ids []string, w types.Written) any
}

// rowOrder is a write about one row. The command is made of the State it meets; answer is
// given the State after it.
func rowOrder(
	token string, command func(*fleet.State) (fleet.Command, error), answer func(*view.View, types.Written) any,
) *Order {
	return &Order{
		Token: token,
		Command: func(_ context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			made, err := command(st)
			return made, nil, err
		},
		Answer: func(v *view.View, _ []string, w types.Written) any { return answer(v, w) },
	}
}

// Endpoint is one write.
type Endpoint struct {
	endpoint.Spec
	Write func(*Call) (*Order, error)
}

// Endpoints are all writes.
func Endpoints() []Endpoint {
	return slices.Concat(taskDefEndpoints(), serviceEndpoints(), taskEndpoints(), hostEndpoints(), tokenEndpoints(),
		fleetEndpoints(), settingEndpoints(), targetGroupEndpoints(), listenerEndpoints(), ruleEndpoints(), entryEndpoints(),
		deploymentEndpoints(),
		nextFormatEndpoints())
}

// change declares a write; its answer has status 200.
func change(
	method, pattern, summary string, body, answer any, write func(*Call) (*Order, error), query ...endpoint.Param,
) Endpoint {
	return Endpoint{Spec: endpoint.Spec{Method: method, Pattern: pattern, Kind: endpoint.Write, Summary: summary,
		Query: query, Body: body, Answer: answer}, Write: write}
}

// creation declares a write that makes a row; its answer has status 201.
func creation(
	pattern, summary string, body, answer any, write func(*Call) (*Order, error), query ...endpoint.Param,
) Endpoint {
	e := change(http.MethodPost, pattern, summary, body, answer, write, query...)
	e.Status = http.StatusCreated
	return e
}
