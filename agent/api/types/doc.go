// Package types holds the bodies, answers, errors and headers of the HTTP API:
// what a client and the server must agree on, and nothing that answers.
//
// It owns names, units and the words of the API's document (tag doc). It owns
// no rule: what is allowed and what is done with it is for skein/agent/api.
//
// Units on the wire: cpu in 1/1024 core, memory in MiB, times in RFC 3339 with
// milliseconds, durations in the unit their name ends with. A field once
// answered keeps its name and meaning; clients skip fields that they do not know.
package types
