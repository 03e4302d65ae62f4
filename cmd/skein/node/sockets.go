package node

import (
	"os"
	"strings"
	"syscall"

	"skein/runtime/fdstore"
)

// What the names of sockets begin with in the service manager's store.
const (
	listenerSockets = "listener-" // of the ingress
	dnsSockets      = "dns-"
)

// sockets are those that the service manager keeps while no agent is there.
type sockets struct {
	store *fdstore.Store
	kept  map[string]*os.File // by name in the store; of the agent before this one
}

func openSockets() sockets {
	store, kept := fdstore.Open()
	for name, file := range kept {
		if !strings.HasPrefix(name, listenerSockets) && !strings.HasPrefix(name, dnsSockets) {
			_ = file.Close() // nothing of this agent
			delete(kept, name)
		}
	}
	return sockets{store, kept}
}

// inherited are the sockets of a prefix, by their address or name without it.
func (s sockets) inherited(prefix string) map[string]*os.File {
	files := map[string]*os.File{}
	for name, file := range s.kept {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			files[addressOf(rest)] = file
		}
	}
	return files
}

// of is the part of the store whose names have a prefix.
func (s sockets) of(prefix string) socketStore { return socketStore{s.store, prefix} }

// socketStore is the store as a server of the host sees it.
type socketStore struct {
	store  *fdstore.Store
	prefix string
}

// Keep is ingress.SocketStore's and dns.SocketStore's.
func (s socketStore) Keep(address string, socket syscall.Conn) error {
	return s.store.Keep(s.prefix+nameOf(address), socket)
}

// Drop is ingress.SocketStore's and dns.SocketStore's.
func (s socketStore) Drop(address string) error { return s.store.Drop(s.prefix + nameOf(address)) }

// nameOf is the name of a socket in the store, which has no colons: the port, and before it
// the address where it is of one alone. What is no address stays as it is.
func nameOf(address string) string {
	return strings.ReplaceAll(strings.TrimPrefix(address, ":"), ":", "_")
}

// addressOf is the inverse of nameOf.
func addressOf(name string) string {
	if strings.Trim(name, "0123456789") == "" {
		return ":" + name
	}
	return strings.ReplaceAll(name, "_", ":")
}
