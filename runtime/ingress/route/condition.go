package route

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"

	"skein/raftfsm/fleet"
)

// Request is what rules look at.
type Request struct {
	Host   []byte // without its port
	Path   []byte // as it was sent, escapes and all
	Query  []byte
	Method []byte
	Source netip.Addr
	Fields Fields // nil: there are none
}

// Fields calls each with the values of the fields of a name in small letters, until it
// returns false.
type Fields interface {
	Values(name string, each func(value []byte) bool)
}

// condition is a fleet.RuleCondition, ready to be asked.
type condition struct {
	field    fleet.ConditionField
	name     string // of a header, in small letters; the key of a query
	patterns []pattern
	prefixes []netip.Prefix
}

func compileCondition(noun fleet.RuleCondition) (condition, error) {
	c := condition{field: noun.Field, name: noun.Name}
	fold := false
	switch noun.Field {
	case fleet.FieldHost:
		fold = true
	case fleet.FieldHeader:
		fold, c.name = true, strings.ToLower(noun.Name)
	case fleet.FieldPath, fleet.FieldMethod, fleet.FieldQuery:
	case fleet.FieldSource:
		return c, c.readPrefixes(noun.Values)
	default:
		return c, fmt.Errorf("field %s is not known to this agent", noun.Field)
	}
	for _, value := range noun.Values {
		c.patterns = append(c.patterns, compilePattern(value, fold))
	}
	return c, nil
}

func (c *condition) readPrefixes(values []string) error {
	for _, value := range values {
		prefix, err := netip.ParsePrefix(value)
		if err != nil {
			return fmt.Errorf("source-ip %q: %w", value, err)
		}
		c.prefixes = append(c.prefixes, prefix.Masked())
	}
	return nil
}

func (c *condition) holds(r *Request) bool {
	switch c.field {
	case fleet.FieldHost:
		return c.fits(r.Host)
	case fleet.FieldPath:
		return c.fits(r.Path)
	case fleet.FieldMethod:
		return c.fits(r.Method)
	case fleet.FieldHeader:
		return c.headerFits(r)
	case fleet.FieldQuery:
		return c.queryFits(r.Query)
	case fleet.FieldSource:
		return c.sourceFits(r.Source)
	default:
		return false
	}
}

func (c *condition) fits(text []byte) bool {
	for i := range c.patterns {
		if c.patterns[i].fits(text) {
			return true
		}
	}
	return false
}

func (c *condition) headerFits(r *Request) (fits bool) {
	if r.Fields == nil {
		return false
	}
	r.Fields.Values(c.name, func(value []byte) bool {
		fits = c.fits(value)
		return !fits
	})
	return fits
}

// queryFits looks at the query as it was sent: escapes are not undone.
func (c *condition) queryFits(query []byte) bool {
	for len(query) > 0 {
		pair, rest, _ := bytes.Cut(query, []byte{'&'})
		query = rest
		key, value, _ := bytes.Cut(pair, []byte{'='})
		if (c.name == "" || string(key) == c.name) && c.fits(value) {
			return true
		}
	}
	return false
}

func (c *condition) sourceFits(source netip.Addr) bool {
	for _, prefix := range c.prefixes {
		if prefix.Contains(source) {
			return true
		}
	}
	return false
}
