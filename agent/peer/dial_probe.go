package peer

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"

	"skein/agent/peer/protocol"
)

// dialProbe is a witness's look at a host's peer port: two short tries. Zero
// when this machine could not even try, which is no word about the host.
func (p *Port) dialProbe(ctx context.Context, addr netip.AddrPort) Outcome {
	ctx, cancel := context.WithTimeout(ctx, protocol.ProbeTime)
	defer cancel()
	outcome := Silent
	for range probeTries {
		outcome = p.dialOnce(ctx, addr)
		if outcome != Silent {
			break
		}
	}
	return outcome
}

func (p *Port) dialOnce(ctx context.Context, addr netip.AddrPort) Outcome {
	ctx, cancel := context.WithTimeout(ctx, protocol.ProbeTry)
	defer cancel()
	conn, err := p.dialAddr(ctx, addr)
	if err == nil {
		_ = conn.Close()
		return Connected
	}
	return outcomeOf(err)
}

// outcomeOf tells a machine that answers from one that does not.
func outcomeOf(err error) Outcome {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return Refused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTDOWN),
		errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return Silent
	}
	return 0
}
