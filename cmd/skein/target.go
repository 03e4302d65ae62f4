package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"skein/cmd/skein/client"
	"skein/cmd/skein/config"
	"skein/cmd/skein/lab"
)

// target says which agent a command asks. Every command that asks one embeds it.
type target struct {
	Socket            string `help:"Unix socket of the agent to ask." placeholder:"PATH" env:"SKEIN_SOCKET"`
	Address           string `help:"Status listener of any agent, like 10.0.0.5:7702; reads only." placeholder:"ADDR" env:"SKEIN_ADDRESS"`
	Lab               string `help:"Ask a host of this lab." placeholder:"NAME" env:"SKEIN_LAB"`
	Via               string `help:"Which host of the lab to ask; default: the first that answers." placeholder:"HOST" env:"SKEIN_VIA"`
	Token             string `help:"Operator token, for writes through a worker." placeholder:"TOKEN" env:"SKEIN_TOKEN"`
	OperatorTokenFile string `name:"operator-token-file" help:"File with the operator token." placeholder:"PATH" default:"/etc/skein/operator.token" env:"SKEIN_OPERATOR_TOKEN_FILE"`
}

// defaultSocket is where the agent of this host listens unless configured otherwise.
const defaultSocket = "/run/skein/agent.sock"

// client returns a client of the agent the flags name; without any it is this
// host's agent or, where there is none, the one lab that is up.
func (t *target) client(ctx context.Context) (*client.Client, error) {
	token, err := t.operatorToken(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case t.Address != "":
		url, err := statusURL(t.Address)
		if err != nil {
			return nil, err
		}
		return client.New(client.Endpoint{URL: url}, token), nil
	case t.Socket != "":
		return client.New(client.Endpoint{Socket: t.Socket}, token), nil
	case t.Lab != "" || t.Via != "":
		return t.labClient(t.Lab, token)
	}
	if _, err := os.Stat(defaultSocket); err == nil {
		return client.New(client.Endpoint{Socket: defaultSocket}, token), nil
	}
	if names := lab.Names(); len(names) == 1 {
		return t.labClient(names[0], token)
	} else if len(names) > 1 {
		return nil, &usageError{fmt.Errorf("several labs are up: say which with --lab: %s", strings.Join(names, ", "))}
	}
	return client.New(client.Endpoint{Socket: defaultSocket}, token), nil
}

// statusURL is the status listener at an address, which may be the URL of its page.
func statusURL(address string) (string, error) {
	bare := strings.TrimSuffix(strings.TrimPrefix(address, "http://"), "/")
	at, err := config.DialAddress(bare, config.StatusPort)
	if err != nil {
		return "", &usageError{fmt.Errorf("--address: %w", err)}
	}
	return "http://" + at, nil
}

func (t *target) labClient(name, token string) (*client.Client, error) {
	l, err := lab.New(lab.Options{Name: name})
	if err != nil {
		return nil, &usageError{err}
	}
	socket, err := t.labSocket(l)
	if err != nil {
		return nil, err
	}
	if token == "" {
		if token, err = l.OperatorToken(); err != nil {
			return nil, err
		}
	}
	return client.New(client.Endpoint{Socket: socket}, token), nil
}

func (t *target) labSocket(l *lab.Lab) (string, error) {
	if t.Via != "" {
		return l.Socket(t.Via)
	}
	socket, _, err := l.AnySocket()
	return socket, err
}

// operatorToken is the one given or that of the file. Only the usual file may be
// missing, or be for others' eyes: most commands need no token.
func (t *target) operatorToken(ctx context.Context) (string, error) {
	if t.Token != "" || t.OperatorTokenFile == "" {
		return t.Token, nil
	}
	text, err := readInput(ctx, t.OperatorTokenFile)
	usual := t.OperatorTokenFile == config.OperatorTokenFile
	if usual && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("--operator-token-file: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
