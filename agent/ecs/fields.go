package ecs

import "skein/agent/ecs/strictjson"

// row is one line of a table: path, fate, and why where it is not used.
type row struct {
	path     string
	handling strictjson.Handling
	why      string
}

const (
	used    = strictjson.Used
	mapped  = strictjson.Mapped
	ignored = strictjson.Ignored
	refused = strictjson.Refused
)

func table(name string, rows []row) *strictjson.Table {
	fields := make([]strictjson.Field, len(rows))
	for i, r := range rows {
		fields[i] = strictjson.Field{Path: r.path, Handling: r.handling, Why: r.why}
	}
	return strictjson.NewTable(name, fields)
}
