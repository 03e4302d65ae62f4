package trust

import "errors"

// Sentinels of this package. Refusals that State makes (token, name, forgotten
// host) keep fleet's sentinels.
var (
	ErrNoIdentity       = errors.New("this host belongs to no fleet yet")
	ErrIdentityExists   = errors.New("this host belongs to a fleet already")
	ErrNoFleetKey       = errors.New("this host holds no fleet key")
	ErrIdentityStore    = errors.New("identity folder unreadable")
	ErrMalformedToken   = errors.New("malformed token")
	ErrSealed           = errors.New("sealed keys do not open")
	ErrNoCertificate    = errors.New("no certificate shown")
	ErrBadCertificate   = errors.New("certificate malformed")
	ErrForeignAuthority = errors.New("certificate is not of this fleet's authority")
	ErrForeignFleet     = errors.New("certificate is of another fleet")
	ErrExpired          = errors.New("certificate expired")
	ErrNotYetValid      = errors.New("certificate not valid yet")
	ErrClock            = errors.New("clocks differ")
	ErrWrongHost        = errors.New("another host answered")
	ErrUnknownHost      = errors.New("host unknown here")
	ErrRevoked          = errors.New("certificate revoked")
	ErrWrongKey         = errors.New("key is not the one admitted")
	ErrNotVoter         = errors.New("host is not a voter")
	ErrProtocol         = errors.New("no protocol of the peer port was asked for")
	ErrTryAgain         = errors.New("not now, try again")
)
