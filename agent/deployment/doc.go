// Package deployment holds what a planner of deployments and the runners of their effects
// say to each other: the inputs and outcomes of the effect kinds [Webhook], [Query],
// [Probe] and [LogTail], the payload that a hook is called with, and how answers of
// strangers are judged.
//
// It is pure. It decides nothing about a deployment, sends nothing and reads no clock:
// deciding is the planner's, sending is the runners'. Inputs and outcomes are kept in
// State as CBOR with integer keys; payload and answer of a hook are ECS's JSON.
//
// An effect that was done has an outcome, also when the outcome is a refusal: a hook that
// says no, or an address that may not be asked. An effect that failed or expired has no
// answer, and says nothing about what was asked: it is asked again.
package deployment
