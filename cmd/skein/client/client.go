// Package client speaks the HTTP API of an agent for the command line: over
// the unix socket of the host it runs on, into a host of a lab, or to any
// node's status listener for reads.
//
// It owns where to ask, how errors read, and that a read shows what was written
// before; what is asked is the callers'.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"skein/agent/api/types"
)

const (
	// maxAnswerBytes bounds what one answer may hold: a page of 1,000 tasks is
	// well under 2 MiB.
	maxAnswerBytes = 16 << 20
	// requestTimeout is above the 10 s for which a write waits during an election.
	requestTimeout = 30 * time.Second
)

// Endpoint is where an agent answers: exactly one of Socket and URL is set.
type Endpoint struct {
	Socket string // unix socket
	URL    string // "http://10.0.0.5:7702", reads only
}

func (e Endpoint) String() string {
	if e.Socket != "" {
		return e.Socket
	}
	return e.URL
}

// Client asks one agent.
type Client struct {
	endpoint Endpoint
	token    string // operator token; empty for none
	once     string // client token of writes; empty for none
	seen     *seen
	http     *http.Client
	base     string
}

// New returns a client of an endpoint. The operator token may be empty.
func New(endpoint Endpoint, token string) *Client {
	c := &Client{endpoint: endpoint, token: token, seen: newSeen(seenDir()), base: strings.TrimSuffix(endpoint.URL, "/"),
		http: &http.Client{}}
	if endpoint.Socket != "" {
		c.base = "http://agent"
		c.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", endpoint.Socket)
		}}
	}
	return c
}

// Once returns a client whose writes carry a client token: sent again with the
// same words they have one effect.
func (c *Client) Once(clientToken string) *Client {
	once := *c
	once.once = clientToken
	return &once
}

// NewToken makes a client token, so that a write can be repeated safely.
func NewToken() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails: it ends the program instead
	return hex.EncodeToString(random[:])
}

// Error is an agent's refusal.
type Error struct {
	Status  int
	Code    string `json:"code"`
	Message string `json:"message"`
	Field   string `json:"field"`
	Hint    string `json:"hint"`
}

func (e *Error) Error() string {
	text := e.Message
	if e.Field != "" && !strings.HasPrefix(text, e.Field) {
		text = e.Field + ": " + text
	}
	if e.Hint != "" {
		text += "\n" + e.Hint
	}
	return text
}

// Get reads path into answer.
func (c *Client) Get(ctx context.Context, path string, answer any) (http.Header, error) {
	return c.call(ctx, http.MethodGet, path, nil, answer)
}

// Send writes body (nil for none) to path by a method and reads into answer (nil to drop it).
func (c *Client) Send(ctx context.Context, method, path string, body, answer any) error {
	_, err := c.call(ctx, method, path, body, answer)
	return err
}

func (c *Client) call(ctx context.Context, method, path string, body, answer any) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	response, err := c.do(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read answer of %s: %w", c.endpoint, err)
	}
	if len(text) > maxAnswerBytes {
		return nil, fmt.Errorf("read answer of %s: more than %d bytes", c.endpoint, maxAnswerBytes)
	}
	if response.StatusCode >= 300 {
		return nil, c.refused(response.StatusCode, text)
	}
	if saysError(text) {
		return nil, c.refused(http.StatusBadGateway, text)
	}
	if method != http.MethodGet {
		c.seen.wrote(response.Header)
	}
	if answer == nil || len(text) == 0 {
		return response.Header, nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return nil, fmt.Errorf("read answer of %s: %w", c.endpoint, err)
	}
	return response.Header, nil
}

// Stream opens path and hands over the body, which the caller closes.
func (c *Client) Stream(ctx context.Context, path string) (io.ReadCloser, error) {
	response, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 300 {
		defer response.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
		return nil, refusal(response.StatusCode, text)
	}
	return response.Body, nil
}

func (c *Client) do(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case json.RawMessage:
		reader = bytes.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return nil, fmt.Errorf("write request: %w", err)
		}
		reader = bytes.NewReader(text)
	}
	if err := c.sendable(path); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, reader)
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	if reader != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	if asked := c.seen.header(); asked != "" && method == http.MethodGet {
		request.Header.Set(types.HeaderIndex, asked)
	}
	if c.once != "" && method != http.MethodGet {
		request.Header.Set(types.HeaderToken, c.once)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.explain(err)
	}
	return response, nil
}

// sendable refuses what would ask for another address than the one that is meant, or
// could not be sent: then nothing was, and nothing is unknown.
func (c *Client) sendable(path string) error {
	for _, segment := range strings.Split(strings.TrimPrefix(strings.SplitN(path, "?", 2)[0], "/"), "/") {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("%q is refused: nothing in a fleet has such a name", segment)
		}
	}
	for what, text := range map[string]string{"client token": c.once, "operator token": c.token} {
		if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return fmt.Errorf("the %s is refused: it holds white space, control characters or others outside ASCII", what)
		}
	}
	return nil
}

// refused is an answer that is an error. Those of a server that is in trouble may
// have had an effect all the same.
func (c *Client) refused(status int, text []byte) error {
	err := refusal(status, text)
	if status >= http.StatusInternalServerError && c.once != "" {
		err.Hint = strings.TrimPrefix(err.Hint+"\nclient token of this command: --client-token "+c.once, "\n")
	}
	return err
}

// saysError reports whether an answer is a refusal whatever its status: agents before this one
// may give one as 200 while the lead moves.
func saysError(text []byte) bool {
	var answer struct {
		Error *Error `json:"error"`
	}
	return bytes.HasPrefix(bytes.TrimSpace(text), []byte(`{"error"`)) && json.Unmarshal(text, &answer) == nil &&
		answer.Error != nil && answer.Error.Message != ""
}

func refusal(status int, text []byte) *Error {
	var answer struct {
		Error Error `json:"error"`
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Error.Message == "" {
		answer.Error.Message = fmt.Sprintf("the agent answered %d %s", status, http.StatusText(status))
	}
	answer.Error.Status = status
	return &answer.Error
}

// explain says what a failed connection means to the person at the prompt.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no agent answers at %s: is it running here (systemctl status skein), or did you mean --socket, "+
			"--address or --lab?", c.endpoint)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s is for root only: try with sudo", c.endpoint)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer from %s within %s%s", c.endpoint, requestTimeout, c.unknown())
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" { // nothing was sent
		return fmt.Errorf("no way to %s: %w", c.endpoint, dial)
	}
	return fmt.Errorf("ask %s: %w%s", c.endpoint, err, c.unknown())
}

// unknown says of a write without an answer how to find out what became of it:
// the token may be one that the caller never saw.
func (c *Client) unknown() string {
	if c.once == "" {
		return ""
	}
	return ": whether it took effect is unknown; repeat it safely with --client-token " + c.once
}
