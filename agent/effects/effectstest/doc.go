// Package effectstest is what carrying effects out must keep, wherever it is done: by
// the executor over the peer port, and by the simulator's. A case sees State, runs
// that begin, and the words of hosts; it knows nothing of what is between.
package effectstest
