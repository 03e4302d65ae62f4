package trust

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"time"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
	"skein/runtime/seam/clock"
	"skein/runtime/seam/vfs"
)

// JoinPath is where the join protocol is spoken, as POST of a JoinRequest that
// is answered by a Grant or a Problem.
const JoinPath = "/v1/join"

// Request is what a host says of itself when it joins.
type Request struct {
	Name, Zone string
	Addr       netip.AddrPort // its peer port, as others dial it
	Attributes map[string]string
}

// Joiner makes a host a member of a fleet.
type Joiner struct {
	FS      vfs.FS
	DataDir string
	Clock   clock.Clock
	Log     *slog.Logger
	Dial    func(ctx context.Context, network, addr string) (net.Conn, error) // nil: the system's
}

// Join asks any agent of the fleet at addr ("host:port") to let this host in,
// and writes the identity it gets. It tries for half a minute while the fleet
// cannot decide, and gives up at once when refused. A join that was cut off is
// taken up again with the same key, so its token is not lost.
//
// Errors: ErrIdentityExists; fleet.ErrTokenRefused, fleet.ErrNameTaken and
// fleet.ErrInvalid as the fleet says; ErrForeignAuthority when who answers is
// not of the token's fleet; fleet.ErrAgentTooOld; ErrTryAgain when time was up.
func (j *Joiner) Join(ctx context.Context, addr string, token Token, r Request) (*IdentityStore, error) {
	if err := refuseExisting(j.FS, j.DataDir); err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	key, err := j.pendingKey()
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	csr, err := newRequest(key, r.Name)
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	ask := JoinRequest{
		Fleet: token.Fleet, Token: token.ID, Secret: token.secret, CSR: csr,
		Name: r.Name, Zone: r.Zone, Addr: r.Addr, Attributes: r.Attributes, Format: fleet.FormatVersion,
	}
	if err = ask.check(); err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	grant, err := j.askUntil(ctx, addr, token, ask)
	if err != nil {
		return nil, fmt.Errorf("join %s: %w", addr, err)
	}
	f, err := j.accept(key, token, grant)
	if err != nil {
		return nil, fmt.Errorf("join %s: %w", addr, err)
	}
	return f, nil
}

// accept checks the grant against what was asked before it becomes an identity.
func (j *Joiner) accept(key *ecdsa.PrivateKey, token Token, g Grant) (*IdentityStore, error) {
	cas, err := decodeCertificates(g.CABundle)
	if err != nil {
		return nil, err
	}
	pinned := false
	for _, ca := range cas {
		pinned = pinned || digestOf(ca) == token.CA
	}
	if !pinned || g.Fleet != token.Fleet {
		return nil, fmt.Errorf("the answer is of another fleet: %w", ErrForeignAuthority)
	}
	f, err := create(j.FS, j.DataDir, key, g)
	if err != nil {
		return nil, err
	}
	return f, f.remove(joinKeyFile)
}

// pendingKey is the key of a join that was cut off, or a new one, on disk
// before it is used: a token spent on a key that is lost would be lost too.
func (j *Joiner) pendingKey() (*ecdsa.PrivateKey, error) {
	f := &IdentityStore{fs: j.FS, dir: j.DataDir}
	text, err := f.readFile(joinKeyFile)
	if err == nil {
		return decodeKey(text)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	secret, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	if err := f.makeDir(identityDir); err != nil {
		return nil, err
	}
	return key, f.write(joinKeyFile, secret, secretPerm)
}

func (j *Joiner) askUntil(ctx context.Context, addr string, token Token, ask JoinRequest) (Grant, error) {
	ctx, cancel := context.WithTimeout(ctx, joinPatience)
	defer cancel()
	dials := 0
	for try := 0; ; try++ {
		grant, err := j.askOnce(ctx, addr, token, ask)
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" {
			dials++
		}
		if err == nil || !errors.Is(err, ErrTryAgain) || dials >= joinDials {
			return grant, err
		}
		j.Log.Warn("join put off", "addr", addr, "err", err)
		wait := time.NewTimer(rand.N(min(joinBackoffCap, joinBackoff<<min(try, 8))))
		select {
		case <-ctx.Done():
			wait.Stop()
			return Grant{}, fmt.Errorf("no answer in time: %w", err)
		case <-wait.C:
		}
	}
}

// askOnce is one try. Its errors wrap ErrTryAgain when another may succeed.
func (j *Joiner) askOnce(ctx context.Context, addr string, token Token, ask JoinRequest) (Grant, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTry)
	defer cancel()
	ask.ClockMs = j.Clock.Now().UnixMilli()
	body, err := wire.Marshal(ask)
	if err != nil {
		return Grant{}, fmt.Errorf("encode request: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://join"+JoinPath, bytes.NewReader(body))
	if err != nil {
		return Grant{}, err
	}
	transport := &http.Transport{
		DialTLSContext:    func(ctx context.Context, _, _ string) (net.Conn, error) { return j.dial(ctx, addr, token) },
		DisableKeepAlives: true,
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		if isRefusal(err) {
			return Grant{}, err
		}
		return Grant{}, fmt.Errorf("%w: %w", ErrTryAgain, err)
	}
	defer response.Body.Close()
	return readGrant(response)
}

// isRefusal holds for what another try would not change.
func isRefusal(err error) bool {
	for _, verdict := range []error{ErrForeignAuthority, ErrForeignFleet, ErrBadCertificate, ErrExpired, ErrNotYetValid,
		ErrWrongHost} {
		if errors.Is(err, verdict) {
			return true
		}
	}
	return false
}

func readGrant(response *http.Response) (Grant, error) {
	text, err := io.ReadAll(io.LimitReader(response.Body, MaxJoinBody+1))
	if err != nil {
		return Grant{}, fmt.Errorf("%w: read answer: %w", ErrTryAgain, err)
	}
	if len(text) > MaxJoinBody {
		return Grant{}, fmt.Errorf("answer longer than %d bytes: %w", MaxJoinBody, ErrBadCertificate)
	}
	if response.StatusCode == http.StatusOK {
		var grant Grant
		if err = wire.Unmarshal(text, &grant); err != nil {
			return Grant{}, fmt.Errorf("decode answer: %w", err)
		}
		return grant, nil
	}
	var p Problem
	if err = wire.Unmarshal(text, &p); err != nil {
		return Grant{}, fmt.Errorf("answered %s without a reason", response.Status)
	}
	err = p.Err(Codes)
	if p.RetryMs > 0 {
		return Grant{}, fmt.Errorf("%w: %w", ErrTryAgain, err)
	}
	return Grant{}, err
}

func (j *Joiner) dial(ctx context.Context, addr string, token Token) (net.Conn, error) {
	dial := j.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	raw, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	conn, err := Handshake(ctx, raw, joinConfig(token, j.Clock.Now))
	if err != nil {
		return nil, err
	}
	return conn, nil
}
