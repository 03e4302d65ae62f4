// Package converge is the host loop: it turns what is wanted of this host,
// minus what runs, into steps.
//
// The decision is [Machine.Step], a pure function of time and events that
// returns effects; [Host] carries effects out over the ports of ports.go and
// brings their results back as events. The package owns this host's journal
// (which starts were begun in which boot), its copy of the wanted tasks, the
// logs of its tasks, and the order of steps. It does not own placement, the
// connection to voters or the runtime.
//
// Units: [Now.Wall] is fleet time of this host's clock and is only ever shown
// or reported; every delay is measured on [Now.Mono]. Machine is not safe for
// concurrent use; Host is.
//
// See DESIGN.md beside this file for the state chart and the rules.
package converge
