// Package fake holds in-memory twins of a host's container runtime, network and
// cgroups: [Containers], [Network], [Cgroups]. They keep the contract of
// agent/converge/porttest, so that what is tested against them holds on a host,
// and they have switches for what goes wrong there.
//
// Time is the clock that a twin is given; nothing happens between two calls.
// Step tells a twin that the clock has moved: processes whose time has come end,
// and calls that wait for time go on. No goroutine is started. A simulator with
// one goroutine leaves PullDelay and Hang at zero and calls at the moment the
// result is due; [Containers.NextDue] says when something ends by itself.
//
// All methods may be called from any goroutine.
package fake
