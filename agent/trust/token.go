package trust

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"skein/raftfsm/fleet"
)

const (
	joinPrefix     = "skein1"
	operatorPrefix = "skein1o"
	secretSize     = 32
)

// Token is the secret half of a join or operator token. Text forms:
//
//	skein1.<fleet>.<sha256 of CA certificate, hex>.<id>.<secret>   join
//	skein1o.<fleet>.<id>.<secret>                                 operator
//
// The digest lets a newcomer know the fleet's authority before it trusts a word.
type Token struct {
	Kind   fleet.TokenKind
	Fleet  fleet.FleetID
	CA     [sha256.Size]byte // join tokens only
	ID     fleet.TokenID
	secret Secret
}

// NewJoinToken makes a token that admits hosts to the fleet of this CA.
func NewJoinToken(id fleet.FleetID, ca [sha256.Size]byte, chance io.Reader) (Token, error) {
	return newToken(Token{Kind: fleet.TokenJoin, Fleet: id, CA: ca}, chance)
}

// NewOperatorToken makes a token that carries operator writes through workers.
func NewOperatorToken(id fleet.FleetID, chance io.Reader) (Token, error) {
	return newToken(Token{Kind: fleet.TokenOperator, Fleet: id}, chance)
}

func newToken(t Token, chance io.Reader) (Token, error) {
	id, err := newID(chance, "t-")
	if err != nil {
		return Token{}, fmt.Errorf("make token: %w", err)
	}
	secret, err := randomBytes(chance, secretSize)
	if err != nil {
		return Token{}, fmt.Errorf("make token: %w", err)
	}
	t.ID, t.secret = fleet.TokenID(id), secret
	return t, nil
}

// ParseToken reads either text form; surrounding white space is forgiven.
// Errors wrap ErrMalformedToken and never hold the text.
func ParseToken(text string) (Token, error) {
	text = strings.TrimSpace(text)
	if len(text) > MaxTokenText {
		return Token{}, fmt.Errorf("longer than %d characters: %w", MaxTokenText, ErrMalformedToken)
	}
	parts := strings.Split(text, ".")
	t := Token{}
	switch {
	case parts[0] == joinPrefix && len(parts) == 5:
		t.Kind = fleet.TokenJoin
		digest, err := hex.DecodeString(parts[2])
		if err != nil || len(digest) != len(t.CA) || strings.ToLower(parts[2]) != parts[2] {
			return Token{}, fmt.Errorf("authority digest is not 64 lower-case hex digits: %w", ErrMalformedToken)
		}
		copy(t.CA[:], digest)
	case parts[0] == operatorPrefix && len(parts) == 4:
		t.Kind = fleet.TokenOperator
	default:
		return Token{}, fmt.Errorf("want %s.<fleet>.<digest>.<id>.<secret> or %s.<fleet>.<id>.<secret>: %w", joinPrefix,
			operatorPrefix, ErrMalformedToken)
	}
	t.Fleet, t.ID = fleet.FleetID(parts[1]), fleet.TokenID(parts[len(parts)-2])
	if !validID(string(t.Fleet)) || !validID(string(t.ID)) {
		return Token{}, fmt.Errorf("fleet or token id has characters that ids do not have: %w", ErrMalformedToken)
	}
	secret, err := base64.RawURLEncoding.Strict().DecodeString(parts[len(parts)-1])
	if err != nil || len(secret) != secretSize || strings.ContainsAny(parts[len(parts)-1], "\r\n") {
		return Token{}, fmt.Errorf("secret is not %d bytes of base64url: %w", secretSize, ErrMalformedToken)
	}
	t.secret = secret
	return t, nil
}

// Text is the token in clear, to hand to whoever is to use it.
func (t Token) Text() string {
	secret := base64.RawURLEncoding.EncodeToString(t.secret)
	if t.Kind == fleet.TokenOperator {
		return strings.Join([]string{operatorPrefix, string(t.Fleet), string(t.ID), secret}, ".")
	}
	return strings.Join([]string{joinPrefix, string(t.Fleet), hex.EncodeToString(t.CA[:]), string(t.ID), secret}, ".")
}

// String names the token without its secret.
func (t Token) String() string { return t.Kind.String() + " token " + string(t.ID) }

// Format is String for every verb: %d would else print the secret's bytes.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// LogValue keeps the secret out of logs.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Hash is what State keeps of the token's secret.
func (t Token) Hash() []byte { return hashSecret(t.secret) }

func hashSecret(secret []byte) []byte {
	sum := sha256.Sum256(secret)
	return sum[:]
}

// Put is the command that makes the token known. Join tokens: uses of 0 and a
// life of 0 take the defaults. Operator tokens do not count uses.
func (t Token) Put(now time.Time, life time.Duration, uses int) fleet.PutToken {
	c := fleet.PutToken{ID: t.ID, TokenKind: t.Kind, Hash: t.Hash()}
	switch t.Kind {
	case fleet.TokenJoin:
		if life == 0 {
			life = JoinTokenLifetime
		}
		c.Uses = max(uses, JoinTokenUses)
	case fleet.TokenOperator:
		if life == 0 {
			life = OperatorTokenLifetime
		}
	}
	c.NotAfter = fleet.TimeOf(now.Add(life))
	return c
}

// PresentedToken is a token as it was shown to a voter.
type PresentedToken struct {
	Kind   fleet.TokenKind
	Fleet  fleet.FleetID
	ID     fleet.TokenID
	Secret Secret
	Key    string // public key of the host that joins with it; empty for operators
}

// Present is the token as its holder shows it.
func (t Token) Present(key string) PresentedToken {
	return PresentedToken{Kind: t.Kind, Fleet: t.Fleet, ID: t.ID, Secret: t.secret, Key: key}
}

// VerifyToken checks a token against State at the later of fleet time and now.
// Refusals wrap fleet.ErrTokenRefused; why a token is refused is told only to
// who knows its secret. A join token that is used up or over still holds for the
// key that used it, so that joining is safe to retry.
func VerifyToken(st *fleet.State, shown PresentedToken, now time.Time) error {
	row := st.Fleet()
	if row == nil {
		return fleet.ErrNoFleet
	}
	if shown.Fleet != row.ID {
		return fmt.Errorf("token %s is of another fleet: %w", shown.ID, fleet.ErrTokenRefused)
	}
	token := st.Token(shown.ID)
	want := make([]byte, sha256.Size)
	if token != nil {
		want = token.Hash
	}
	// Compared also for unknown ids, so that time does not tell which exist.
	same := subtle.ConstantTimeCompare(want, hashSecret(shown.Secret)) == 1
	switch {
	case token == nil || !same:
		return fmt.Errorf("token %s is unknown or its secret is wrong: %w", shown.ID, fleet.ErrTokenRefused)
	case token.Kind != shown.Kind:
		return fmt.Errorf("token %s is a %s token, not a %s token: %w", shown.ID, token.Kind, shown.Kind,
			fleet.ErrTokenRefused)
	case token.Kind == fleet.TokenJoin && slices.Contains(token.BoundKeys, shown.Key):
		return nil
	case max(st.Now(), fleet.TimeOf(now)) >= token.NotAfter:
		return fmt.Errorf("token %s expired at %s: %w", shown.ID, token.NotAfter, fleet.ErrTokenRefused)
	case token.Kind == fleet.TokenJoin && token.Uses <= 0:
		return fmt.Errorf("token %s is used up: %w", shown.ID, fleet.ErrTokenRefused)
	}
	return nil
}

func digestOf(cert *x509.Certificate) [sha256.Size]byte { return sha256.Sum256(cert.Raw) }
