package write

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

// Receipt makes repeating a write safe. Its token comes from the client, or is made
// here, so that the server's own repetitions are safe too.
func (c *Call) Receipt(o *Order) (fleet.Receipt, error) {
	token, fromBody := c.Header.Get(types.HeaderToken), o.Token
	switch {
	case token != "" && fromBody != "" && token != fromBody:
		return fleet.Receipt{}, &fleet.FieldError{Field: "clientToken", Why: "differs from the header " + types.HeaderToken +
			"; keep one"}
	case token == "":
		token = fromBody
	}
	if token == "" {
		token = c.NewID()
	}
	if len(token) > types.MaxClientToken || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return fleet.Receipt{},
			&fleet.FieldError{Field: "clientToken", Why: fmt.Sprintf("1 to %d printable ASCII characters without spaces",
				types.MaxClientToken)}
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s\n", c.Method, c.URL.Path, c.URL.RawQuery)
	h.Write(c.Body)
	return fleet.Receipt{Token: token, BodyHash: h.Sum(nil)}, nil
}
