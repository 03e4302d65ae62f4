// Package route decides where a request goes: which rule takes it, which target group
// that rule's weights give it, and which target of the group.
//
// A Table is compiled of fleet.Routes and does not change; requests read one table by an
// atomic pointer. What outlives tables is in Memory: the turn of each rule's weights, the
// ejections and the open requests of each target, the counters.
//
// The order of choice is rule, group, zone, target. The group is the revision's colour:
// that weights say exactly what share it has must not depend on where its tasks are.
//
// It opens no connections and reads no messages; the pools that targets carry are the
// caller's.
package route
