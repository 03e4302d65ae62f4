package fleet

import (
	"net/netip"
	"strings"
)

// Admission is what AdmitHost and InitFleet know of a new host.
type Admission struct {
	ID         HostID            `cbor:"1,keyasint"`
	Name       string            `cbor:"2,keyasint"`
	Zone       string            `cbor:"3,keyasint"`
	Addr       netip.AddrPort    `cbor:"4,keyasint"`
	Attributes map[string]string `cbor:"5,keyasint,omitempty"`
	PublicKey  string            `cbor:"6,keyasint"` // sha256 of the public key, hex
}

func (a *Admission) check() error {
	return first(
		checkID("host.id", string(a.ID)),
		checkHostName("host.name", a.Name),
		checkHostName("host.zone", a.Zone),
		checkTags("host.attributes", a.Attributes),
		checkName("host.publicKey", a.PublicKey, maxKeyHash),
	)
}

// host is the row of a host that has just been admitted.
func (a *Admission) host(x *applyContext) Host {
	return Host{
		ID: a.ID, Name: a.Name, Zone: a.Zone, Addr: a.Addr, Attributes: a.Attributes,
		State: HostJoining, StateSince: x.now, JoinedAt: x.now, Cert: Cert{PublicKey: a.PublicKey},
	}
}

// checkRaftID refuses what is not exactly the RaftID of one of a host's logs.
func checkRaftID(path string, id RaftID, host HostID) error {
	if n := id.Number(); n < 1 || id != MakeRaftID(host, n) {
		return field(path, "%s is no raft id of %s: that is the host id, a dot and a number from 1", quoted(string(id)), host)
	}
	return nil
}

// Number is the number of the log among its host's, or 0 where the id has none.
func (id RaftID) Number() int {
	_, n := splitNumbered(strings.Replace(string(id), ".", "/", 1), "/")
	return n
}
