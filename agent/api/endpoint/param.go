package endpoint

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

// Param is one query parameter. Its check says why a value is refused; it runs
// before a request is served, so that a voter, a worker and a host that is cut
// off refuse alike. Code that reads the value later need not check it again.
type Param struct {
	Name, Doc string
	Check     func(value string) (why string)
	// MayBeEmpty takes a parameter without a value for one that is not given. A
	// filter may not be empty: it would answer about everything.
	MayBeEmpty bool
}

// MaxPage bounds the rows of one page.
const MaxPage = 1000

// Parameters that several endpoints take.
var (
	Consistent = Param{"consistent", "ask the leader, and wait until it has proven that it leads", checkBoolean, true}
	Limit      = Param{"limit", "rows on a page, 1 to 1000", checkRows, true}
	Strict     = Param{"strict", "refuse every field that is not used, instead of warning", checkBoolean, true}
	Force      = Param{"force", "even though it is in use", checkBoolean, true}
	Expect     = Param{"expect", "refuse unless its modifyIndex is this", checkExpect, false}
	// Service and After narrow events.
	Service = Param{"service", "only those about this service: its last ones are kept in a busy fleet too", CheckName,
		false}
	// Live narrows deployments; With is of one that is planned.
	Live  = Param{"live", "only those that have not ended", checkBoolean, true}
	With  = Param{"with", "what an update would be given, as JSON; what is not given is as it is", checkObject, false}
	After = Param{"after", "only what came after this number; 0 for the oldest kept", checkAfter, true}
)

// Next is the cursor of a list: where the page before ended.
func Next(list string) Param {
	return Param{"next", "the next of the page before", func(value string) string {
		_, why := ReadCursor(list, value)
		return why
	}, true}
}

// refuse is the refusal of a value, or nil.
func (p Param) refuse(value string) error {
	if value == "" && p.MayBeEmpty {
		return nil
	}
	if value == "" {
		return &fleet.FieldError{Field: p.Name, Why: "has no value: leave the parameter out, or give it one"}
	}
	if why := p.Check(value); why != "" {
		return &fleet.FieldError{Field: p.Name, Why: fmt.Sprintf("%q is refused: %s", types.Clean(Clip(value)), why)}
	}
	return nil
}

// maxShown bounds what a refusal repeats of a value, in bytes.
const maxShown = 64

// Clip cuts a value for a refusal.
func Clip(value string) string {
	if len(value) > maxShown {
		return value[:maxShown] + "..."
	}
	return value
}

func checkBoolean(value string) string {
	if slices.Contains([]string{"true", "1", "false", "0"}, value) {
		return ""
	}
	return "it is neither true nor false"
}

func checkRows(value string) string {
	if n, err := strconv.Atoi(value); err != nil || n < 1 || n > MaxPage {
		return "allowed are 1 to " + strconv.Itoa(MaxPage)
	}
	return ""
}

func checkAfter(value string) string {
	if _, err := strconv.ParseUint(value, 10, 64); err != nil {
		return "it must be the number of an event, or 0 for the oldest kept"
	}
	return ""
}

func checkObject(value string) string {
	if !json.Valid([]byte(value)) || !strings.HasPrefix(value, "{") {
		return "it must be a JSON object, as for PATCH of a service"
	}
	return ""
}

func checkExpect(value string) string {
	if n, err := strconv.ParseUint(value, 10, 64); err != nil || n == 0 {
		return "it must be a modifyIndex, 1 or more"
	}
	return ""
}

// CheckName takes what a service, a family or a host can be called, or an id.
func CheckName(value string) string {
	other := strings.IndexFunc(value, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.", c))
	})
	if other >= 0 || len(value) > fleet.MaxName {
		return fmt.Sprintf("names are 1 to %d letters, digits, '-', '_' or '.'", fleet.MaxName)
	}
	return ""
}

// IsSet reads a boolean parameter: it is set without a value too.
func IsSet(values url.Values, name string) bool {
	return values.Has(name) && !slices.Contains([]string{"false", "0"}, values.Get(name))
}
