package endpoint

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"skein/agent/api/refusal"
	"skein/agent/api/types"
)

// MaxQuery bounds a query, in bytes: filters are names.
const MaxQuery = 4 << 10

// CheckQuery refuses parameters that the endpoint does not take and values that it
// cannot read: a misspelt filter must not be answered with everything.
func (s Spec) CheckQuery(r *http.Request) error {
	if len(r.URL.RawQuery) > MaxQuery {
		return refusal.New(http.StatusRequestURITooLong, "too-large",
			fmt.Sprintf("the query has %d bytes, at most %d", len(r.URL.RawQuery), MaxQuery), "")
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return refusal.New(http.StatusBadRequest, "query", "the query cannot be read: "+err.Error(), "")
	}
	for name, given := range values {
		at := slices.IndexFunc(s.Query, func(p Param) bool { return p.Name == name })
		if at < 0 {
			return refusal.New(http.StatusBadRequest, "query", fmt.Sprintf("unknown parameter %q", types.Clean(name)),
				s.knownQuery())
		}
		if len(given) > 1 {
			return refusal.New(http.StatusBadRequest, "query", fmt.Sprintf("parameter %q is given %d times", name, len(given)),
				"give it once")
		}
		if err := s.Query[at].refuse(given[0]); err != nil {
			return err
		}
	}
	return nil
}

func (s Spec) knownQuery() string {
	if len(s.Query) == 0 {
		return "this address takes no parameters"
	}
	names := make([]string, len(s.Query))
	for i, p := range s.Query {
		names[i] = p.Name
	}
	return "known are " + strings.Join(names, ", ")
}
