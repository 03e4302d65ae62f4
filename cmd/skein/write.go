package main

import (
	"context"
	"fmt"
	"os"

	"skein/agent/api/types"
	"skein/cmd/skein/client"
)

// write is what every command that changes something has.
type write struct {
	ClientToken string `help:"Makes a repeated command safe: the same token with the same words has one effect. Default: a new one." placeholder:"TOKEN"`
}

// token returns the client token, making one the first time.
func (w *write) token() string {
	if w.ClientToken == "" {
		w.ClientToken = client.NewToken()
	}
	return w.ClientToken
}

// client returns a client whose writes carry the client token.
func (w *write) client(ctx context.Context, t *target) (*client.Client, error) {
	agent, err := t.client(ctx)
	if err != nil {
		return nil, err
	}
	return agent.Once(w.token()), nil
}

// made is what writes answer, whichever it was.
type made struct {
	types.Written
	TaskDef  *types.TaskDef  `json:"taskDefinition"`
	Service  *types.Service  `json:"service"`
	Defaults []types.Default `json:"defaults"`
	// DeploymentID is of the deployment that a change of a service made, if it made one.
	DeploymentID string       `json:"deploymentId"`
	Tasks        []types.Task `json:"tasks"`
	Token        string       `json:"token"`
}

// do sends a write that makes nothing new and says what it did.
func (w *write) do(ctx context.Context, t *target, method, path string, body any, done string, args ...any) error {
	agent, err := w.client(ctx, t)
	if err != nil {
		return err
	}
	var answer made
	if err := agent.Send(ctx, method, path, body, &answer); err != nil {
		return err
	}
	answer.warn()
	fmt.Println(printable(fmt.Sprintf(done, args...)))
	return nil
}

// warn prints warnings on standard error.
func (m *made) warn() {
	for _, warning := range m.Warnings {
		fmt.Fprintln(os.Stderr, "warning:", printable(warning.Field+": "+warning.Message))
	}
}
