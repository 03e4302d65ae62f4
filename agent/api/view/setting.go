package view

import (
	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

func settingEndpoints() []Endpoint {
	return []Endpoint{{
		Spec: endpoint.Get("/v1/settings", "Settings of the fleet", types.Settings{}), Read: (*View).settings,
	}}
}

func (v *View) settings() (any, error) {
	answer := &types.Settings{Meta: v.Meta, Settings: []types.Setting{}}
	if f := v.State.Fleet(); f != nil {
		for _, name := range fleet.SettingNames() {
			value, _ := f.Settings.Get(name)
			answer.Settings = append(answer.Settings, types.Setting{Name: name, Value: value})
		}
	}
	return answer, nil
}
