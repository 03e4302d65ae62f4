package main

import (
	"strings"
	"testing"
)

func TestFlagsOfDeployThatContradictEachOtherAreRefusedByName(t *testing.T) {
	for name, c := range map[string]struct {
		command deployCommand
		refused string // empty where it is not
	}{
		"a canary that rolls":          {deployCommand{Strategy: "ROLLING", Canary: 10}, "--strategy says ROLLING"},
		"steps of a canary":            {deployCommand{Strategy: "CANARY", Step: 10}, "--strategy says CANARY"},
		"canary and steps":             {deployCommand{Canary: 10, Step: 20}, "keep one"},
		"a canary that is said to be":  {deployCommand{Strategy: "CANARY", Canary: 10}, ""},
		"a canary that says no more":   {deployCommand{Canary: 10}, ""},
		"steps that are said to be so": {deployCommand{Strategy: "LINEAR", Step: 10}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.command.body(t.Context())
			switch {
			case c.refused == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)):
				t.Errorf("error %v, want one with %q", err, c.refused)
			}
		})
	}
}
