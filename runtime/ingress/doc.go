// Package ingress answers on the fleet's listeners on this host, and passes requests and
// connections on to tasks, wherever they run.
//
// It serves the fleet.Routes that it was given last, also when nobody gives it others: it
// asks no leader for anything. It takes targets out that it cannot connect to, and lets
// them in again when it can.
//
// It does not check whether targets are well (their hosts do), does not decide weights,
// and keeps nothing on disk. All methods of Engine may be called from any goroutine.
// DESIGN.md says why it is built as it is.
package ingress
