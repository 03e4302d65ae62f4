package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"skein/cmd/skein/client"
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
func (t *target) client() (*client.Client, error) {
	token, err := t.operatorToken()
	if err != nil {
		return nil, err
	}
	switch {
	case t.Address != "":
		return client.New(client.Endpoint{URL: "http://" + strings.TrimPrefix(t.Address, "http://")}, token), nil
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

func (t *target) operatorToken() (string, error) {
	if t.Token != "" {
		return t.Token, nil
	}
	text, err := os.ReadFile(t.OperatorTokenFile)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read operator token: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
