package peer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"testing"
	"time"

	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

// askToJoin asks one voter once, as a newcomer with a token would.
func (r *rig) askToJoin(through *rigAgent, token trust.Token) error {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, 10*time.Second)
	defer cancel()
	shown := token.Present("")
	ask := trust.JoinRequest{Format: fleet.FormatVersion, Fleet: shown.Fleet, Token: shown.ID, Secret: shown.Secret,
		Name: fmt.Sprint("new-", r.cluster.state().Index()), Zone: "a", Addr: through.addr(), CSR: request(r.t)}
	_, err := through.port.admitHere(ctx, ask)
	return err
}

// request is what a newcomer proves its key with.
func request(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func TestAVoterThatIsBehindDoesNotRefuseATokenForGood(t *testing.T) {
	r, agents := three(t)
	for _, voter := range agents {
		voter.log.Load().held.Store(r.cluster.state()) // as of before the token
	}
	agents[0].log.Load().held.Store(nil) // the leader
	token := r.token(2)
	if err := r.askToJoin(agents[1], token); !errors.Is(err, ErrBusy) || errors.Is(err, fleet.ErrTokenRefused) {
		t.Errorf("a voter that is behind answers %v", err)
	}
	if err := r.askToJoin(agents[0], token); err != nil {
		t.Errorf("the leader answers %v", err)
	}
	agents[1].log.Load().held.Store(nil)
	if err := r.askToJoin(agents[1], token); err != nil {
		t.Errorf("a voter that has caught up answers %v", err)
	}
	identity := agents[0].identity
	unknown, err := trust.NewJoinToken(identity.Identity().Fleet, identity.CADigest(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, voter := range agents[:2] {
		if err := r.askToJoin(voter, unknown); !errors.Is(err, fleet.ErrTokenRefused) {
			t.Errorf("%s answers a token that nobody made: %v", voter.name, err)
		}
	}
	agents[1].log.Load().held.Store(r.cluster.state())
	r.must(fleet.PutToken{ID: "later", TokenKind: fleet.TokenJoin, Hash: make([]byte, 32), Uses: 1,
		NotAfter: fleet.TimeOf(r.clock.Now().Add(time.Hour))})
	r.cluster.lead("")
	if err := r.askToJoin(agents[1], unknown); !errors.Is(err, ErrBusy) || errors.Is(err, fleet.ErrTokenRefused) {
		t.Errorf("without a leader a voter answers %v", err)
	}
}

func TestStrangersCannotHaveTheLeaderAskedWithoutBound(t *testing.T) {
	_, agents := three(t)
	asked, busy := 0, 0
	for range 3 * doubtsPerSecond {
		err := agents[1].port.surely(t.Context(), func() error {
			asked++
			return fleet.ErrTokenRefused
		})
		if errors.Is(err, ErrBusy) {
			busy++
			asked--
		}
	}
	if busy == 0 || asked == 0 {
		t.Errorf("%d times busy, %d times asked", busy, asked)
	}
}
