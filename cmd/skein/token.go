package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"skein/agent/api/types"
)

// tokenCommand is about tokens.
type tokenCommand struct {
	Create tokenCreateCommand `cmd:"" help:"Make a token that lets a host join, or an operator write." example:"skein token create --uses 3 --for 2h"`
	Revoke tokenRevokeCommand `cmd:"" name:"revoke" aliases:"delete" help:"Revoke a token." example:"skein token revoke 4f2a9c"`
}

type tokenCreateCommand struct {
	target
	write
	Operator bool          `help:"A token that carries writes, instead of one that lets hosts join."`
	Uses     *int          `help:"How many hosts it lets in. Default: 1." placeholder:"N"`
	For      time.Duration `default:"1h" help:"How long it is good, 1s to 168h."`
}

// Run prints a new token on one line; it is shown this once.
func (c *tokenCreateCommand) Run(ctx context.Context) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	agent, err := c.write.client(ctx, &c.target)
	if err != nil {
		return err
	}
	var answer made
	if err := agent.Send(ctx, http.MethodPost, "/v1/tokens", body, &answer); err != nil {
		return err
	}
	answer.warn()
	fmt.Println(answer.Token)
	return nil
}

// body is the request; 0 is no value there, and would become the default unseen.
func (c *tokenCreateCommand) body() (types.TokenBody, error) {
	body := types.TokenBody{Kind: "join", Uses: 1, ValidSeconds: int(c.For.Seconds())}
	switch {
	case c.Operator && c.Uses != nil:
		return body, &usageError{errors.New("--uses: an operator token may be used any number of times; leave it out")}
	case c.Uses != nil && *c.Uses < 1:
		return body, &usageError{fmt.Errorf("--uses: %d is below 1", *c.Uses)}
	case c.For < time.Second:
		return body, &usageError{fmt.Errorf("--for: %s is below 1s", c.For)}
	case c.Operator:
		body.Kind, body.Uses = "operator", 0
	case c.Uses != nil:
		body.Uses = *c.Uses
	}
	return body, nil
}

type tokenRevokeCommand struct {
	target
	write
	ID string `arg:"" help:"Id of the token: the part of its text before the secret."`
}

// Run revokes a token.
func (c *tokenRevokeCommand) Run(ctx context.Context) error {
	return c.do(ctx, &c.target, http.MethodDelete, "/v1/tokens/"+url.PathEscape(c.ID), types.PlainBody{},
		"token %s is revoked", c.ID)
}

// settingCommand changes a setting of the fleet.
type settingCommand struct {
	target
	write
	Name  string `arg:"" help:"Name of the setting, like voters."`
	Value int64  `arg:"" help:"Its new value."`
}

// Run changes a setting.
func (c *settingCommand) Run(ctx context.Context) error {
	return c.do(ctx, &c.target, http.MethodPut, "/v1/settings/"+url.PathEscape(c.Name), types.SettingBody{Value: c.Value},
		"%s is %d", c.Name, c.Value)
}
