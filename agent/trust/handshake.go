package trust

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
)

// Handshake runs TLS as client on a connection, and closes it when that fails or
// ctx ends first.
func Handshake(ctx context.Context, raw net.Conn, config *tls.Config) (*tls.Conn, error) {
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("tls handshake with %s: %w", raw.RemoteAddr(), err)
	}
	return conn, nil
}
