package converge

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"skein/raftfsm/fleet"
)

// targetClient speaks with targets of one protocol.
func targetClient(dial dialFunc, protocol fleet.GroupProtocol) *http.Client {
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10}
	if protocol == fleet.GroupHTTP2 || protocol == fleet.GroupGRPC {
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// checkTarget asks a target whether it is well. The code is that of HTTP, or of gRPC.
func (x *executor) checkTarget(ctx context.Context, do CheckTarget) (int, error) {
	if do.Path == "" {
		conn, err := x.dial(ctx, "tcp", do.Addr.String())
		if err != nil {
			return 0, err
		}
		return 0, conn.Close()
	}
	method, body := http.MethodGet, io.Reader(nil)
	if do.Protocol == fleet.GroupGRPC {
		method, body = http.MethodPost, bytes.NewReader(make([]byte, 5)) // an empty message
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+do.Addr.String()+do.Path, body)
	if err != nil {
		return 0, fmt.Errorf("check of target %s%s: %w", do.Addr, do.Path, err)
	}
	req.Header.Set("User-Agent", "skein-health")
	client := targetClient(x.dial, do.Protocol)
	defer client.CloseIdleConnections()
	if do.Protocol == fleet.GroupGRPC {
		req.Header.Set("Content-Type", "application/grpc")
		req.Header.Set("TE", "trailers")
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, checkBody) // politeness: the answer is its status
	if do.Protocol != fleet.GroupGRPC {
		return resp.StatusCode, nil
	}
	return grpcStatus(resp)
}

// grpcStatus is the code of an answer whose body was read.
func grpcStatus(resp *http.Response) (int, error) {
	text := resp.Trailer.Get("Grpc-Status")
	if text == "" {
		text = resp.Header.Get("Grpc-Status") // an answer without a message
	}
	code, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("an answer of status %d without a code of gRPC", resp.StatusCode)
	}
	return code, nil
}
