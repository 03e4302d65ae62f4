package wire

import (
	"fmt"
	"reflect"
	"testing"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire/corpustest"
)

func TestTheCorpusKnowsEveryField(t *testing.T) {
	things := map[string]any{"entry": entry{}, "item": item{}}
	for _, k := range fleet.Kinds() {
		c, _, err := fleet.DecodeCommand(k, func(any) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		things[k.String()] = corpustest.Later{Since: k.Since(), Of: c}
	}
	for table := range fleet.Tables() {
		row, _ := fleet.NewRow(table)
		things[fmt.Sprintf("table-%d", table)] = corpustest.Later{Since: table.Since(),
			Of: reflect.ValueOf(row).Elem().Interface()}
	}
	corpustest.CheckFields(t, things)
}
