// Package api serves the fleet over HTTP and JSON: status, hosts, services,
// tasks, events, metrics, an OpenAPI document and a page for people; and it
// takes writes, which it turns into commands and brings to the leader.
//
// This package is the server: it owns admission, the guards of a public port, and the way to a
// voter or the leader. It owns no truth: reads are answered by package view of a State it is given,
// writes become commands in package write and are proposed through [Voter] or handed to [Forwarder].
// Who listens where, TLS and certificates are for others.
//
// The shapes of bodies and answers are in skein/agent/api/types, which clients
// share. Every handler is safe for concurrent use. See DESIGN.md.
package api
