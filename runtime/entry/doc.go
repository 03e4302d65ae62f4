// Package entry holds entry addresses: floating addresses that a healthy host answers
// for, so that clients have one place to go.
//
// An address lies on the loopback interface, and the kernel is told not to answer ARP
// for it (of NDP it does not by itself). The agent answers, from a packet socket. So an
// agent that is dead, stopped or cut off falls silent, and no kernel answers on for it.
//
// What is decided ([claims]: when to probe, take, answer, announce, yield) is pure and
// knows neither sockets nor clocks. A [Holder] carries it out: addresses, the kernel's
// settings, packet sockets, and the rules that relay connections to a former holder.
//
// The package does not know who is to hold what, nor whether the fleet still says so: it
// is told both ([Holder.Hold], [Holder.Renew]). See DESIGN.md for why two hosts of one
// side of a partition never both answer.
package entry
