package ecs

import (
	"regexp"
	"strconv"
	"strings"

	"skein/agent/ecs/strictjson"
)

var (
	nameForm     = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]*$`) // not like an option of a command
	portNameForm = regexp.MustCompile(`^[a-z0-9_][a-z0-9_-]*$`)
	tagForm      = regexp.MustCompile(`^[\pL\pN\p{Zs}_.:/=+@-]*$`)
	// imageForm is a reference as registries take it: host, path, tag, digest.
	imageForm = regexp.MustCompile(`^([a-zA-Z0-9.-]+(:[0-9]{1,5})?/|\[[0-9a-fA-F:]+\](:[0-9]{1,5})?/)?` +
		`[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*` +
		`(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?$`)
	tokenForm  = regexp.MustCompile(`^[!-~]+$`)
	callerForm = regexp.MustCompile(`^[A-Za-z0-9_/.:@+= -]*$`)
	arnForm    = regexp.MustCompile(`^arn:[a-z-]+:ecs:[a-z0-9-]*:[0-9]*:task-definition/(.+)$`)
	taskDefRef = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}(:[1-9][0-9]{0,6})?$`)
)

// readName reads a required name of letters, digits, "-" and "_".
func readName(o *strictjson.Object, field string) string {
	name := o.Text(field, maxName)
	switch {
	case !o.Has(field):
		o.Refuse(field, "missing: 1 to %d letters, digits, - or _", maxName)
	case strings.HasPrefix(name, "-"):
		o.Refuse(field, "%q begins like an option of a command: begin with a letter, a digit or _", strictjson.Show(name))
		return ""
	case name != "" && !nameForm.MatchString(name), o.Empty(field):
		o.Refuse(field, "%q: 1 to %d letters, digits, - or _", strictjson.Show(name), maxName)
		return ""
	}
	return name
}

// ReadImage reads a required image reference, the member image.
func ReadImage(o *strictjson.Object) string {
	image := o.Text("image", maxName+len("@sha256:")+64)
	if !o.Has("image") {
		o.Refuse("image", "missing: name an image, like registry:5000/team/web:1.2")
		return ""
	}
	name, _, _ := strings.Cut(image, "@")
	if len(name) > maxName {
		o.Refuse("image", "%d bytes before @, at most %d", len(name), maxName)
	} else if image != "" && !imageForm.MatchString(image) || o.Empty("image") {
		o.Refuse("image", "%q is not an image reference: [host[:port]/]path[:tag][@sha256:digest], path in lower case",
			strictjson.Show(image))
	}
	return image
}

// readUser reads user, user:group, uid, uid:gid and their mixtures.
func readUser(o *strictjson.Object) string {
	user := o.Text("user", maxName)
	if user == "" {
		return ""
	}
	parts := strings.Split(user, ":")
	if len(parts) > 2 {
		o.Refuse("user", "%q: user, user:group, uid or uid:gid", strictjson.Show(user))
		return ""
	}
	for _, part := range parts {
		if n, err := strconv.ParseInt(part, 10, 64); err == nil && (n < 0 || n > maxUserID) {
			o.Refuse("user", "%s: an id from 0 to %d", part, int64(maxUserID))
		} else if !userForm.MatchString(part) {
			o.Refuse("user", "%q: user, user:group, uid or uid:gid", strictjson.Show(user))
		}
	}
	return user
}

var userForm = regexp.MustCompile(`^([0-9]{1,18}|[A-Za-z_][A-Za-z0-9_.-]*\$?)$`)

// readTags reads [{"key", "value"}] into a map, nil when there are none.
func readTags(o *strictjson.Object) map[string]string {
	var tags map[string]string
	for _, t := range o.Objects("tags", maxTags) {
		key, value := t.Text("key", maxTagKey), t.Text("value", maxTagValue)
		switch _, twice := tags[key]; {
		case key == "":
			t.Refuse("key", "missing: 1 to %d characters", maxTagKey)
		case !tagForm.MatchString(key):
			t.Refuse("key", "%q: letters, digits, spaces and _.:/=+-@", strictjson.Show(key))
		case !tagForm.MatchString(value):
			t.Refuse("value", "%q: letters, digits, spaces and _.:/=+-@", strictjson.Show(value))
		case twice:
			t.Refuse("key", "%q is given twice; keep one", key)
		default:
			if tags == nil {
				tags = map[string]string{}
			}
			tags[key] = value
		}
	}
	return tags
}

// readTaskDefinition reads family, family:revision or the ARN of one.
func readTaskDefinition(o *strictjson.Object) string {
	text := o.Text("taskDefinition", 2048)
	if m := arnForm.FindStringSubmatch(text); m != nil {
		text = m[1]
	}
	if text != "" && !taskDefRef.MatchString(text) || o.Empty("taskDefinition") {
		o.Refuse("taskDefinition", "%q: family, family:revision or the ARN of one", strictjson.Show(text))
		return ""
	}
	return text
}

// readToken reads a client token: printable ASCII without spaces.
func readToken(o *strictjson.Object, most int) string {
	token := o.Text("clientToken", most)
	if token != "" && !tokenForm.MatchString(token) {
		o.Refuse("clientToken", "%q: 1 to %d printable ASCII characters without spaces", strictjson.Show(token), most)
		return ""
	}
	return token
}
