package api

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"skein/raftfsm/fleet"
)

// param is one query parameter. Its check says why a value is refused; it runs
// before a request is served, so that a voter, a worker and a host that is cut
// off refuse alike. What reads the value later may take it for good.
type param struct {
	name, doc string
	check     func(value string) (why string)
	// mayBeEmpty takes a parameter without a value for one that is not given. A
	// filter may not be: an empty one would answer about everything.
	mayBeEmpty bool
}

// Parameters that several routes take.
var (
	paramConsistent = param{"consistent", "ask the leader, and wait until it has proven that it leads", checkBoolean, true}
	paramLimit      = param{"limit", "rows on a page, 1 to 1000", checkRows, true}
	paramStrict     = param{"strict", "refuse every field that is not used, instead of warning", checkBoolean, true}
	paramForce      = param{"force", "even though it is in use", checkBoolean, true}
	paramExpect     = param{"expect", "refuse unless its modifyIndex is this", checkExpect, false}
	paramAbout      = param{"service", "only those about this service: its last ones are kept in a busy fleet too",
		checkName, false}
	paramAfter = param{"after", "only what came after this number; 0 for the oldest kept", checkAfter, true}
)

func paramNext(list string) param {
	return param{"next", "the next of the page before", func(value string) string {
		_, why := readCursor(list, value)
		return why
	}, true}
}

func query(params ...param) []param { return append(params, paramConsistent) }

// refuse is the refusal of a value, or nil.
func (p param) refuse(value string) error {
	if value == "" && p.mayBeEmpty {
		return nil
	}
	if value == "" {
		return &fleet.FieldError{Field: p.name, Why: "has no value: leave the parameter out, or give it one"}
	}
	if why := p.check(value); why != "" {
		return &fleet.FieldError{Field: p.name, Why: fmt.Sprintf("%q is refused: %s", clean(clip(value)), why)}
	}
	return nil
}

// maxShown bounds what a refusal repeats of a value.
const maxShown = 64

func clip(value string) string {
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
	if n, err := strconv.Atoi(value); err != nil || n < 1 || n > maxPage {
		return "allowed are 1 to " + strconv.Itoa(maxPage)
	}
	return ""
}

func checkAfter(value string) string {
	if _, err := strconv.ParseUint(value, 10, 64); err != nil {
		return "it must be the number of a decision, or 0 for the oldest kept"
	}
	return ""
}

func checkExpect(value string) string {
	if n, err := strconv.ParseUint(value, 10, 64); err != nil || n == 0 {
		return "it must be a modifyIndex, 1 or more"
	}
	return ""
}

// checkName takes what a service, a family or a host can be called, or an id.
func checkName(value string) string {
	other := strings.IndexFunc(value, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.", c))
	})
	if other >= 0 || len(value) > fleet.MaxName {
		return fmt.Sprintf("names are 1 to %d letters, digits, '-', '_' or '.'", fleet.MaxName)
	}
	return ""
}

func checkStatuses(value string) string {
	for status := range strings.SplitSeq(value, ",") {
		if _, err := fleet.ParseTaskStatus(status); err != nil {
			return err.Error()
		}
	}
	return ""
}

func checkDesiredStatus(value string) string {
	if value != fleet.TaskRunning.String() && value != fleet.TaskStopped.String() {
		return "allowed are RUNNING and STOPPED"
	}
	return ""
}

func anyText(string) string { return "" }

// isSet reads a boolean parameter: it is set without a value too.
func isSet(values url.Values, name string) bool {
	return values.Has(name) && !slices.Contains([]string{"false", "0"}, values.Get(name))
}

// newCursor is where a page of a list ended. It names the list, so that what is
// no cursor of this list is refused instead of answered with an empty page.
func newCursor(list, last string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(list + "\n" + last))
}

// readCursor returns the last row of the page before, empty for none.
func readCursor(list, text string) (last, why string) {
	if text == "" {
		return "", ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	of, last, ok := strings.Cut(string(raw), "\n")
	if err != nil || !ok || of != list || last == "" {
		return "", "it must be the next of a page of " + list + ", as it was given"
	}
	return last, ""
}
