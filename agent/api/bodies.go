package api

import (
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/text"
)

// The small bodies that are Skein's own. Every field in them is used.
var (
	scaleFields   = own("scale", "desiredCount", "clientToken")
	cordonFields  = own("cordon", "why", "clientToken")
	plainFields   = own("change", "clientToken")
	forceFields   = own("removal", "force", "clientToken")
	tokenFields   = own("token", "kind", "uses", "validSeconds", "clientToken")
	settingFields = own("setting", "value", "clientToken")
)

func own(name string, paths ...string) *strictjson.Table {
	fields := make([]strictjson.Field, len(paths))
	for i, path := range paths {
		fields[i] = strictjson.Field{Path: path, Handling: strictjson.Used}
	}
	return strictjson.NewTable(name, fields)
}

const maxClientToken = 64

// body reads a small body; an empty one is an empty object.
func (c *call) bodyOf(table *strictjson.Table) (*strictjson.Object, *strictjson.Problems, error) {
	data := c.body
	if len(data) == 0 {
		data = []byte("{}")
	}
	doc, err := strictjson.Parse(data, maxBody)
	if err != nil {
		return nil, nil, err
	}
	p := &strictjson.Problems{}
	table.Audit(doc, false, p)
	return strictjson.Root(doc, p), p, nil
}

func clientToken(o *strictjson.Object) string { return o.Text("clientToken", maxClientToken) }

// freeText reads text of an operator's: reasons that end up in lists and logs.
func freeText(o *strictjson.Object, field string, most int) string {
	t := o.Text(field, most)
	for _, r := range t {
		if text.Unprintable(r) {
			o.Refuse(field, "holds control characters")
			return ""
		}
	}
	return t
}

func need(o *strictjson.Object, field, what string) {
	if !o.Has(field) {
		o.Refuse(field, "missing: %s", what)
	}
}

// tokenKinds are the kinds by their text.
var tokenKinds = map[string]fleet.TokenKind{"join": fleet.TokenJoin, "operator": fleet.TokenOperator}
