package main

import (
	"context"
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
	Uses     int           `default:"1" help:"How many hosts it lets in."`
	For      time.Duration `default:"1h" help:"How long it is good."`
}

// Run prints a new token on one line; it is shown this once.
func (c *tokenCreateCommand) Run(ctx context.Context) error {
	agent, err := c.write.client(&c.target)
	if err != nil {
		return err
	}
	body := types.TokenBody{Kind: "join", Uses: c.Uses, ValidSeconds: int(c.For.Seconds())}
	if c.Operator {
		body.Kind, body.Uses = "operator", 0
	}
	var answer made
	if err := agent.Send(ctx, http.MethodPost, "/v1/tokens", body, &answer); err != nil {
		return err
	}
	answer.warn()
	fmt.Println(answer.Token)
	return nil
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
