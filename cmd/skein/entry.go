package main

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"skein/agent/api/types"
)

// entryCommand is about addresses that one host at a time answers for.
type entryCommand struct {
	List   entryListCommand   `cmd:"" default:"withargs" help:"List the entry addresses, and who holds them." example:"skein entry"`
	Add    entryAddCommand    `cmd:"" aliases:"create" help:"Add an address of the hosts' subnet, which one of them answers for." example:"skein entry add 10.0.0.100/24"`
	Move   entryMoveCommand   `cmd:"" help:"Have another host hold an address. Open connections go on." example:"skein entry move 10.0.0.100 h2"`
	Remove entryRemoveCommand `cmd:"" name:"rm" aliases:"remove,delete" help:"Take an address away. Nobody answers for it then." example:"skein entry rm 10.0.0.100"`
}

type entryListCommand struct {
	target
	output
}

// Run prints the entry addresses.
func (c *entryListCommand) Run(ctx context.Context) error {
	return list(ctx, &c.target, c.output, "/v1/entry-addresses", nil,
		func(p *types.EntryAddresses) ([]types.EntryAddress, string) { return p.EntryAddresses, p.Next }, printEntries)
}

func printEntries(all []types.EntryAddress) error { return printEntriesTo(os.Stdout, all) }

func printEntriesTo(w io.Writer, all []types.EntryAddress) error {
	t := newTable(w, "ADDRESS", "SUBNET", "HOLDER", "STATE", "SINCE", "WHY", "RELAYS TO")
	for _, e := range all {
		why := e.Why
		if len(e.Conditions) > 0 {
			why = e.Conditions[0].Message
		}
		t.row(e.Address, e.Subnet, nameOfHost(e.Holder), orDash(e.State), ago(e.Since, time.Now()), orDash(why),
			nameOfHost(e.Former))
	}
	return t.flush()
}

// nameOfHost is what people call a host; "-" for none.
func nameOfHost(h *types.HostRef) string {
	if h == nil {
		return "-"
	}
	return cmp.Or(h.Name, h.ID)
}

type entryAddCommand struct {
	target
	write
	Address string `arg:"" help:"Address with the length of its subnet: 10.0.0.100/24."`
}

// Run adds an entry address.
func (c *entryAddCommand) Run(ctx context.Context) error {
	return c.do(ctx, &c.target, http.MethodPost, "/v1/entry-addresses", types.EntryAddressBody{Address: c.Address},
		"added %s", c.Address)
}

type entryMoveCommand struct {
	target
	write
	Address string `arg:"" help:"The address."`
	Host    string `arg:"" help:"Host that is to hold it."`
	Cut     bool   `help:"Move at once: open connections end, and are not relayed."`
}

// Run moves an entry address.
func (c *entryMoveCommand) Run(ctx context.Context) error {
	return c.do(ctx, &c.target, http.MethodPost, "/v1/entry-addresses/"+url.PathEscape(c.Address)+"/move",
		types.EntryMoveBody{Host: c.Host, Cut: c.Cut}, "%s moves to %s", c.Address, c.Host)
}

type entryRemoveCommand struct {
	target
	write
	Address string `arg:"" help:"The address."`
}

// Run takes an entry address away.
func (c *entryRemoveCommand) Run(ctx context.Context) error {
	return c.do(ctx, &c.target, http.MethodDelete, "/v1/entry-addresses/"+url.PathEscape(c.Address), types.PlainBody{},
		"%s is gone", c.Address)
}
