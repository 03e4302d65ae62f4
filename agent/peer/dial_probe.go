package peer

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"

	"skein/agent/peer/detector"
	"skein/agent/peer/protocol"
)

// dialProbe is a witness's look at a host's peer port: two short tries. Zero
// when this machine could not even try, which is no word about the host.
func (p *Port) dialProbe(ctx context.Context, addr netip.AddrPort) detector.Outcome {
	ctx, cancel := context.WithTimeout(ctx, protocol.ProbeTime)
	defer cancel()
	outcome := detector.Silent
	for range probeTries {
		outcome = p.dialOnce(ctx, addr)
		if outcome != detector.Silent {
			break
		}
	}
	return outcome
}

func (p *Port) dialOnce(ctx context.Context, addr netip.AddrPort) detector.Outcome {
	ctx, cancel := context.WithTimeout(ctx, protocol.ProbeTry)
	defer cancel()
	conn, err := p.dialer.DialAddr(ctx, addr)
	if err == nil {
		_ = conn.Close()
		return detector.Connected
	}
	return outcomeOf(err)
}

// outcomeOf tells a machine that answers from one that does not.
func outcomeOf(err error) detector.Outcome {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return detector.Refused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTDOWN),
		errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return detector.Silent
	}
	return 0
}
