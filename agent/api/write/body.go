package write

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"skein/agent/api/endpoint"
	"skein/agent/api/refusal"
	"skein/agent/api/types"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/text"
)

// The small bodies of several endpoints. Every field in them is used.
var (
	plainFields = own("change", "clientToken")
	forceFields = own("removal", "force", "clientToken")
)

func own(name string, paths ...string) *strictjson.Table {
	fields := make([]strictjson.Field, len(paths))
	for i, path := range paths {
		fields[i] = strictjson.Field{Path: path, Handling: strictjson.Used}
	}
	return strictjson.NewTable(name, fields)
}

// MaxBody bounds a body, in bytes: a task definition with white space to spare.
const MaxBody = 256 << 10

// ReadBody reads a bounded JSON body.
func ReadBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if kind := r.Header.Get("Content-Type"); kind != "" {
		media, _, err := mime.ParseMediaType(kind)
		if err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") &&
			!strings.HasPrefix(media, "application/x-amz-json") {
			return nil, refusal.New(http.StatusUnsupportedMediaType, "media-type", "the body is "+types.Clean(kind),
				"send application/json")
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	var over *http.MaxBytesError
	if errors.As(err, &over) {
		return nil, refusal.New(http.StatusRequestEntityTooLarge, "too-large",
			fmt.Sprintf("the body has more than %d bytes", MaxBody), "")
	}
	if err != nil {
		return nil, refusal.New(http.StatusBadRequest, "body", "the body could not be read: "+err.Error(), "")
	}
	return body, nil
}

// bodyOf reads a small body; an empty one is an empty object.
func (c *Call) bodyOf(table *strictjson.Table) (*strictjson.Object, *strictjson.Problems, error) {
	data := c.Body
	if len(data) == 0 {
		data = []byte("{}")
	}
	doc, err := strictjson.Parse(data, MaxBody)
	if err != nil {
		return nil, nil, err
	}
	p := &strictjson.Problems{}
	table.Audit(doc, false, p)
	return strictjson.Root(doc, p), p, nil
}

// plain reads a body that holds a client token alone.
func (c *Call) plain() (token string, err error) {
	o, p, err := c.bodyOf(plainFields)
	if err != nil {
		return "", err
	}
	token = clientToken(o)
	return token, p.Err()
}

// force reads whether to remove what is in use, from the query or the body.
func (c *Call) force() (force bool, token string, err error) {
	o, p, err := c.bodyOf(forceFields)
	if err != nil {
		return false, "", err
	}
	inBody, token := o.Bool("force", false), clientToken(o)
	if err := p.Err(); err != nil {
		return false, "", err
	}
	return inBody || endpoint.IsSet(c.URL.Query(), endpoint.Force.Name), token, nil
}

func clientToken(o *strictjson.Object) string { return o.Text("clientToken", types.MaxClientToken) }

// freeText reads text of an operator's: reasons that end up in lists and logs.
func freeText(o *strictjson.Object, field string, most int) string {
	t := o.Text(field, most)
	for _, r := range t {
		if text.Unprintable(r) {
			o.Refuse(field, "holds control characters")
			return ""
		}
	}
	return t
}

func need(o *strictjson.Object, field, what string) {
	if !o.Has(field) {
		o.Refuse(field, "missing: %s", what)
	}
}

// anyNumber is the bound of a number whose range State checks.
const anyNumber = 1 << 40

func readNumber(o *strictjson.Object, name string, into *int, low, high int64) {
	*into = int(o.Int(name, int64(*into), low, high))
}

// newName reads the name of what is created. State allows more: what it has stays.
func newName(o *strictjson.Object) string {
	need(o, "name", nameWanted)
	name := o.Text("name", fleet.MaxName)
	if strings.HasPrefix(name, "-") {
		o.Refuse("name", "%q begins like an option of a command: begin with a letter, a digit or _", strictjson.Show(name))
	}
	return name
}

const nameWanted = "letters, digits, - or _"

// named refuses a body that names another thing than the address does.
func (c *Call) named(o *strictjson.Object) {
	if name := o.Text("name", fleet.MaxName); name != "" && name != c.PathValue("name") {
		o.Refuse("name", "%q differs from the address, which names %q", strictjson.Show(name),
			types.Clean(c.PathValue("name")))
	}
}

// moved refuses a change of a row that is not at the index that was expected.
func (c *Call) moved(noun, name string, at uint64) error {
	if expect := c.expect(); expect != 0 && at != expect {
		return fmt.Errorf("update %s %s: it is at %d, not %d: %w", noun, name, at, expect, fleet.ErrMoved)
	}
	return nil
}
