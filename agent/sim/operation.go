package sim

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Operation is something that is done to a world at a time: a fault, the end of one,
// or an operator's command, in words. See Verbs.
type Operation struct {
	At   time.Duration
	Text string
}

func (d Operation) String() string { return d.At.String() + " " + d.Text }

// ParseOperations reads operations, one a line: a time and words. Empty lines and those
// that begin with # say nothing.
func ParseOperations(text string) ([]Operation, error) {
	var operations []Operation
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		at, words, _ := strings.Cut(line, " ")
		d, err := time.ParseDuration(at)
		if err != nil {
			return nil, fmt.Errorf("line %d: %q does not begin with a time like 1m30s: %w", i+1, line, err)
		}
		if _, err := parseWords(words); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		operations = append(operations, Operation{At: d, Text: strings.TrimSpace(words)})
	}
	return operations, nil
}

// words are an operation taken apart: its verb, what it is done to, and key=value.
type words struct {
	verb    string
	objects []string
	options map[string]string
}

func parseWords(text string) (words, error) {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return words{}, fmt.Errorf("an operation has no verb; there are: %s", strings.Join(Verbs(), ", "))
	}
	w := words{verb: fields[0], options: map[string]string{}}
	v, ok := verbs[w.verb]
	if !ok {
		return words{}, fmt.Errorf("%q is no operation; there are: %s", w.verb, strings.Join(Verbs(), ", "))
	}
	for _, field := range fields[1:] {
		if key, value, ok := strings.Cut(field, "="); ok {
			w.options[key] = value
		} else {
			w.objects = append(w.objects, field)
		}
	}
	for key := range w.options {
		if !slices.Contains(v.options, key) {
			return words{}, fmt.Errorf("%s: %q is no option of it; there are %q", w.verb, key, v.options)
		}
	}
	if len(w.objects) < v.least || v.most >= 0 && len(w.objects) > v.most {
		return words{}, fmt.Errorf("%s: use: %s %s", w.verb, w.verb, v.use)
	}
	return w, nil
}

// number is an option as a number.
func (w words) number(key string, otherwise int64) (int64, error) {
	text, ok := w.options[key]
	if !ok {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %s=%s is no number", w.verb, key, text)
	}
	return n, nil
}

// verb is a kind of operation.
type verb struct {
	use         string
	least, most int // objects; most -1: any number
	options     []string
	do          func(*World, words) error
}

// verbs are all kinds of operations. They are added by the files that do them.
var verbs = map[string]verb{}

// Verbs lists the kinds of operations by name.
func Verbs() []string { return slices.Sorted(maps.Keys(verbs)) }

// Usage lists the kinds of operations with what they take.
func Usage() string {
	var b strings.Builder
	for _, name := range Verbs() {
		v := verbs[name]
		fmt.Fprintf(&b, "  %s %s", name, v.use)
		if len(v.options) > 0 {
			fmt.Fprintf(&b, "   options: %s", strings.Join(v.options, "= ")+"=")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Do does an operation now.
func (w *World) Do(text string) error {
	d, err := parseWords(text)
	if err != nil {
		return err
	}
	w.stats.Operations[d.verb]++
	return verbs[d.verb].do(w, d)
}

// Plan has operations done when their time comes, counted from now. What cannot be
// done then (there is no such host) is noted and left.
func (w *World) Plan(operations []Operation) {
	for _, d := range operations {
		w.time.After(d.At, func() {
			if err := w.Do(d.Text); err != nil {
				w.note("operation %q: %v", d.Text, err)
			}
		})
	}
}

// each calls f with the hosts that words name: names, "zone:a", "leader", "all".
func (w *World) each(names []string, f func(*host)) error {
	for _, name := range names {
		hosts, err := w.find(name)
		if err != nil {
			return err
		}
		for _, h := range hosts {
			f(h)
		}
	}
	return nil
}

func (w *World) find(name string) ([]*host, error) {
	if zone, ok := strings.CutPrefix(name, "zone:"); ok {
		var hosts []*host
		for _, h := range w.order {
			if h.zone == zone {
				hosts = append(hosts, h)
			}
		}
		return hosts, nil
	}
	switch name {
	case "all":
		return w.order, nil
	case "leader":
		for _, h := range w.order {
			if h.agent != nil && h.agent.node != nil && h.agent.node.IsLeader() {
				return []*host{h}, nil
			}
		}
		return nil, fmt.Errorf("nobody leads")
	}
	if h := w.byName[name]; h != nil {
		return []*host{h}, nil
	}
	return nil, fmt.Errorf("there is no host %q", name)
}
