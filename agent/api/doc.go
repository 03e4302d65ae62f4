// Package api serves the fleet over HTTP and JSON: status, hosts, services,
// tasks, events, metrics, an OpenAPI document and a page for people; and it
// takes writes, which it turns into commands and brings to the leader.
//
// It owns the shapes of requests and answers, admission, the guards of a public
// port, and what a host that is cut off can still say. It owns no truth: reads
// show a State it is given, writes are proposed through [Voter] or handed to
// [Forwarder]. Who listens where, TLS and certificates are for others.
//
// Units on the wire: cpu in 1/1024 core, memory in MiB, times in RFC 3339 with
// milliseconds, durations in the unit their name ends with. Every handler is
// safe for concurrent use. See DESIGN.md.
package api
