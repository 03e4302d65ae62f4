package main

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

// ruleCommand is about what becomes of requests at a listener.
type ruleCommand struct {
	Create  ruleCreateCommand  `cmd:"" help:"Say what becomes of some requests at a listener." example:"skein rule create web-80/shop --priority 10 --host shop.example --to shop-blue"`
	Weights ruleWeightsCommand `cmd:"" help:"Shift traffic between target groups of a rule." example:"skein rule weights web-80/default web-blue=95 web-green=5"`
	Delete  ruleDeleteCommand  `cmd:"" help:"Delete a rule." example:"skein rule delete web-80/shop"`
}

type ruleCreateCommand struct {
	target
	write
	stickiness
	Rule     string            `arg:"" help:"LISTENER/NAME."`
	Priority int               `help:"The lowest that fits takes a request, 1 to 50000." placeholder:"N"`
	Host     []string          `help:"Hosts that it takes, * and ? allowed." placeholder:"PATTERN"`
	Path     []string          `help:"Paths that it takes, * and ? allowed." placeholder:"PATTERN"`
	Header   map[string]string `help:"Header that it takes, NAME=PATTERN." placeholder:"NAME=PATTERN"`
	Method   []string          `help:"Methods that it takes." placeholder:"METHOD"`
	Source   []string          `help:"Ranges of client addresses that it takes." placeholder:"PREFIX"`
	To       []string          `help:"Target group that it forwards to; GROUP=PERCENT for several." placeholder:"GROUP"`
	File     string            `short:"f" help:"JSON of the whole rule, - for standard input; flags win." placeholder:"FILE"`
}

// Run creates a rule.
func (c *ruleCreateCommand) Run(ctx context.Context) error {
	listener, name, err := splitRule(c.Rule)
	if err != nil {
		return err
	}
	body, err := bodyOfFile(ctx, c.File)
	if err != nil {
		return err
	}
	body["name"] = name
	if c.Priority != 0 {
		body["priority"] = c.Priority
	}
	if conditions := c.conditions(); len(conditions) > 0 {
		body["conditions"] = conditions
	}
	if err := c.forwardTo(body, "action", c.To); err != nil {
		return err
	}
	return c.do(ctx, &c.target, http.MethodPost, "/v1/listeners/"+url.PathEscape(listener)+"/rules", body, "created %s",
		c.Rule)
}

func (c *ruleCreateCommand) conditions() []types.RuleCondition {
	var all []types.RuleCondition
	add := func(field fleet.ConditionField, name string, values []string) {
		if len(values) > 0 {
			all = append(all, types.RuleCondition{Field: field.String(), Name: name, Values: values})
		}
	}
	add(fleet.FieldHost, "", c.Host)
	add(fleet.FieldPath, "", c.Path)
	for _, name := range sortedKeys(c.Header) {
		add(fleet.FieldHeader, name, []string{c.Header[name]})
	}
	add(fleet.FieldMethod, "", c.Method)
	add(fleet.FieldSource, "", c.Source)
	return all
}

type ruleWeightsCommand struct {
	target
	write
	expectation
	Rule    string   `arg:"" help:"LISTENER/NAME; NAME default is the rule that takes what no other takes."`
	Weights []string `arg:"" help:"GROUP=PERCENT of each group that is to have a share; together 100."`
}

// Run shifts traffic.
func (c *ruleWeightsCommand) Run(ctx context.Context) error {
	path, err := rulePath(c.Rule)
	if err != nil {
		return err
	}
	weights, err := weightsOf("WEIGHTS", c.Weights)
	if err != nil {
		return err
	}
	return c.do(ctx, &c.target, http.MethodPost, pathOf(path+"/weights", c.query()), types.WeightsBody{Weights: weights},
		"%s: %s", c.Rule, strings.Join(c.Weights, ", "))
}

type ruleDeleteCommand struct {
	target
	write
	expectation
	Rule string `arg:"" help:"LISTENER/NAME."`
}

// Run deletes a rule.
func (c *ruleDeleteCommand) Run(ctx context.Context) error {
	path, err := rulePath(c.Rule)
	if err != nil {
		return err
	}
	return c.do(ctx, &c.target, http.MethodDelete, pathOf(path, c.query()), types.PlainBody{}, "%s is gone", c.Rule)
}

// weightsOf reads GROUP=PERCENT; one group without a percentage has all.
func weightsOf(flag string, given []string) ([]types.GroupWeight, error) {
	if len(given) == 1 && !strings.Contains(given[0], "=") {
		return []types.GroupWeight{{Group: given[0], Weight: fleet.TotalWeight}}, nil
	}
	weights := make([]types.GroupWeight, len(given))
	sum := 0
	for i, text := range given {
		group, share, _ := strings.Cut(text, "=")
		value, err := strconv.ParseFloat(share, 64)
		basis := value * 100
		if err != nil || !(value >= 0 && value <= 100) || math.Abs(basis-math.Round(basis)) > 1e-6 {
			return nil, &usageError{fmt.Errorf("%s %q: GROUP=PERCENT is needed, from 0 to 100 with at most two decimals", flag,
				text)}
		}
		weights[i] = types.GroupWeight{Group: group, Weight: int(math.Round(basis))}
		sum += weights[i].Weight
	}
	if sum != fleet.TotalWeight {
		return nil, &usageError{fmt.Errorf("%s: the shares sum to %s, not to 100", flag, percent(sum))}
	}
	return weights, nil
}

// splitRule parts LISTENER/NAME.
func splitRule(id string) (listener, name string, err error) {
	of, name := fleet.RuleID(id).Split()
	if of == "" || name == "" {
		return "", "", &usageError{fmt.Errorf("%q is no rule: LISTENER/NAME is needed, like web-80/default", id)}
	}
	return string(of), name, nil
}

func rulePath(id string) (string, error) {
	listener, name, err := splitRule(id)
	return "/v1/listeners/" + url.PathEscape(listener) + "/rules/" + url.PathEscape(name), err
}
