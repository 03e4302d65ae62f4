package trust

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"skein/raftfsm/fleet/wire"
	"skein/raftfsm/fleet/wire/corpustest"
	"skein/runtime/seam/vfs"
)

// sampleRoster, sampleJoin and sampleGrant are fixed: keys and certificates in them
// are texts, which reading a message does not look into.
var sampleRoster = Roster{Epoch: 1, Index: 9, Voters: []RosterVoter{
	{Host: "h-1", Addr: netip.MustParseAddrPort("10.0.0.1:7700"), Voting: true},
	{Host: "h-2", Addr: netip.MustParseAddrPort("[fd00::2]:7700")},
}}

func sampleJoin() JoinRequest {
	return JoinRequest{
		Fleet: "f-1", Token: "tok", Secret: Secret("0123456789abcdef"), CSR: []byte("request"), Name: "h2", Zone: "b",
		Addr: netip.MustParseAddrPort("10.0.0.2:7700"), Attributes: map[string]string{"disk": "ssd"}, Format: 1,
		ClockMs: 1_700_000_000_000,
	}
}

func sampleGrant() Grant {
	return Grant{
		Fleet: "f-1", Host: "h-2", Name: "h2", Zone: "b", Certificate: []byte("certificate"), CABundle: []byte("bundle"),
		Gossip: []Secret{Secret("fedcba9876543210")}, Roster: sampleRoster,
	}
}

// identityParts are the files of an identity in the order in which the corpus keeps
// them, as one JSON object: only host.json has a layout of ours.
var identityParts = []string{hostFile, keyFile, certFile, caFile, gossipFile}

// anIdentity is the files of a new host. They hold new keys, so that the corpus
// keeps those of the first one that was recorded.
func anIdentity(t *testing.T) map[string]string {
	t.Helper()
	f := newFleet(t)
	files := map[string]string{}
	for _, name := range identityParts {
		text, err := f.store.readFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
	return files
}

// readIdentity opens an identity from such files, and says what it holds.
func readIdentity(b []byte) ([]byte, error) {
	var files map[string]string
	if err := json.Unmarshal(b, &files); err != nil {
		return nil, err
	}
	m := vfs.NewMem()
	if err := errors.Join(m.MkdirAll("data/"+identityDir, dirPerm), m.SyncDir(".")); err != nil {
		return nil, err
	}
	for name, text := range files {
		if err := vfs.WriteFileAtomic(m, "data/"+name, []byte(text), secretPerm); err != nil {
			return nil, err
		}
	}
	store, err := OpenIdentityStore(m, "data")
	if err != nil {
		return nil, err
	}
	is := store.now.Load()
	return wire.Marshal(struct {
		Fleet, Host, Name, Zone, KeyHash string
		Roster                           Roster
		Certificate                      []byte
		Gossip                           []Secret
	}{
		string(is.identity.Fleet), string(is.identity.Host), is.identity.Name, is.identity.Zone, is.keyHash,
		is.identity.Roster, is.cert.Leaf.Raw, is.gossip,
	})
}

func TestTheCorpusIsReadAsEver(t *testing.T) {
	kept := func(name string, v any, read func(b []byte) (any, error)) {
		t.Helper()
		b, err := wire.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		corpustest.Check(t, corpustest.Kind{Name: name, Now: b, Read: func(b []byte) ([]byte, error) {
			v, err := read(b)
			if err != nil {
				return nil, err
			}
			return wire.Marshal(v)
		}})
	}
	kept("join", sampleJoin(), func(b []byte) (any, error) {
		var v JoinRequest
		return v, wire.Unmarshal(b, &v)
	})
	kept("grant", sampleGrant(), func(b []byte) (any, error) {
		var v Grant
		return v, wire.Unmarshal(b, &v)
	})
	kept("problem", Problem{Code: "token-refused", Message: "used up", RetryMs: 500}, func(b []byte) (any, error) {
		var v Problem
		return v, wire.Unmarshal(b, &v)
	})
	corpustest.CheckKept(t, corpustest.Kind{Name: "identity", Read: readIdentity}, func() []byte {
		b, err := json.Marshal(anIdentity(t))
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
}

func TestAnIdentityOfANewerAgentIsRead(t *testing.T) {
	files := anIdentity(t)
	files[hostFile] = strings.Replace(files[hostFile], "{", `{"later":{"a":[1]},`, 1)
	b, err := json.Marshal(files)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readIdentity(b); err != nil {
		t.Error(err)
	}
}

func TestTheCorpusKnowsEveryField(t *testing.T) {
	corpustest.CheckFields(t, map[string]any{
		"join": JoinRequest{}, "grant": Grant{}, "problem": Problem{}, "host.json": Identity{},
	})
}
