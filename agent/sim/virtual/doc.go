// Package virtual is the world under a simulated fleet: one queue of events in
// virtual time, chance that comes from a seed, and a network of machines that
// can be cut, slowed, frozen and switched off.
//
// It owns when things happen and whether they reach the other side. It does not
// own what they are: everything that runs is a function handed in. One goroutine
// uses a world; equal seeds and equal calls give equal worlds.
//
// Time is a time.Duration since the world began. Nothing here sleeps or reads a
// clock.
package virtual
