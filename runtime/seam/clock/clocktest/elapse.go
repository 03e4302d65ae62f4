// Package clocktest lets the fake time of a testing/synctest bubble pass in
// fixtures that are run within one. It is no clock and waits for nothing: a test
// on real time waits for a named state with a deadline.
package clocktest

import "time"

// bubbleEpoch is before any real time and after any that a bubble reaches: bubbles
// begin at the start of the year 2000. Source: package testing/synctest.
var bubbleEpoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// Elapse lets d of a bubble's time pass. It panics outside of a bubble, where it
// would be a wait for nothing.
func Elapse(d time.Duration) {
	if time.Now().After(bubbleEpoch) {
		panic("clocktest.Elapse outside of a testing/synctest bubble: wait for a named state instead")
	}
	time.Sleep(d)
}
