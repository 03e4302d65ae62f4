// Package entry decides which host holds which entry address: one that is alive, in the
// address's subnet, not to be emptied, spread evenly. A holder that is gone is replaced at
// once; one that lives hands over, and connections that began there are relayed for a while.
//
// It does not know how an address is answered for, nor why two hosts never both do: see
// runtime/entry/DESIGN.md. It gives an address to one host at a time, and State refuses the
// word of a leader that no longer knows who holds it.
package entry
