package write

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"skein/agent/api/types"
	"skein/agent/api/view"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

var settingFields = own("setting", "value", "clientToken")

func settingEndpoints() []Endpoint {
	return []Endpoint{change(http.MethodPut, "/v1/settings/{name}", "Change a setting", types.SettingBody{},
		types.SettingWritten{}, (*Call).putSetting)}
}

func (c *Call) putSetting() (*Order, error) {
	o, p, err := c.bodyOf(settingFields)
	if err != nil {
		return nil, err
	}
	name := c.PathValue("name")
	need(o, "value", "a number")
	value, token := o.Int("value", 0, 0, 1<<53), clientToken(o)
	if err := p.Err(); err != nil {
		return nil, err
	}
	if !slices.Contains(fleet.SettingNames(), name) {
		return nil, fmt.Errorf("setting %q, known are %s: %w", types.Clean(name), strings.Join(fleet.SettingNames(), ", "),
			fleet.ErrNotFound)
	}
	return &Order{
		Token: token,
		Command: func(context.Context, *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			return fleet.PutSetting{Name: name, Value: value}, nil, nil
		},
		Answer: func(_ *view.View, _ []string, w types.Written) any {
			return &types.SettingWritten{Written: w, Setting: types.Setting{Name: name, Value: value}}
		},
	}, nil
}
