// Package endpoint holds what an endpoint of the API declares: its address, its query
// parameters with their checks, its body and its answer. Routing, the refusal of what a
// query may not hold, and the OpenAPI document are all made from the declaration.
//
// It does not say what an endpoint does: reads are in package view, writes in
// package write.
package endpoint

import (
	"net/http"
	"strings"
)

// Kind is how an endpoint is served.
type Kind uint8

// The kinds.
const (
	Read   Kind = iota + 1 // answered from State, here or at a voter
	Write                  // brought to the leader
	Stream                 // held open
	Plain                  // about this agent alone
)

// Spec is the declaration of one endpoint.
type Spec struct {
	Method  string
	Pattern string
	Kind    Kind
	Summary string
	Private bool // not on the plain listener
	Query   []Param
	Body    any // an example value of the body's type, nil for none
	Status  int // of the answer; 0: 200
	Answer  any // an example value of the answer's type, nil for plain text
	Media   string
}

// Get declares a read, with the parameter that all reads take.
func Get(pattern, summary string, answer any, query ...Param) Spec {
	return Spec{Method: http.MethodGet, Pattern: pattern, Kind: Read, Summary: summary, Answer: answer,
		Query: append(query, Consistent)}
}

// StatusCode is the status of an answer that is no refusal.
func (s Spec) StatusCode() int {
	if s.Status != 0 {
		return s.Status
	}
	return http.StatusOK
}

// Matches compares a path with the pattern, segment by segment.
func (s Spec) Matches(path string) bool {
	pattern := strings.Split(strings.TrimSuffix(s.Pattern, "{$}"), "/")
	given := strings.Split(path, "/")
	if len(pattern) != len(given) {
		return false
	}
	for i, p := range pattern {
		if p != given[i] && !(strings.HasPrefix(p, "{") && given[i] != "") {
			return false
		}
	}
	return true
}
