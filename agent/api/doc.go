// Package api serves the fleet over HTTP and JSON: status, hosts, services,
// tasks, events, metrics, an OpenAPI document and a page for people; and it
// takes writes, which it turns into commands and brings to the leader.
//
// It owns the routes, admission, the guards of a public port, and what a host that is cut off can
// still say. It owns no truth: reads show a State it is given, writes are proposed through [Voter]
// or handed to [Forwarder]. Who listens where, TLS and certificates are for others.
//
// The shapes of bodies and answers are in skein/agent/api/types, which clients
// share. Every handler is safe for concurrent use. See DESIGN.md.
package api
