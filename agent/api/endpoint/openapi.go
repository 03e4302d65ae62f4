package endpoint

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"skein/agent/api/types"
	"skein/agent/ecs"
	"skein/agent/ecs/strictjson"
)

// ECSBody stands for a body in ECS's words: its schema is made from the table
// of fields, which is what reads it.
type ECSBody string

// The bodies in ECS's words.
const (
	TaskDefBody ECSBody = "task definition"
	ServiceBody ECSBody = "service"
	RunBody     ECSBody = "run"
	StopBody    ECSBody = "stop"
)

func (e ECSBody) fields() []strictjson.Field {
	switch e {
	case TaskDefBody:
		return ecs.TaskDefFields()
	case ServiceBody:
		return ecs.ServiceFields()
	case RunBody:
		return ecs.RunFields()
	default:
		return ecs.StopFields()
	}
}

// object is a JSON object of the document.
type object = map[string]any

// Document is the OpenAPI document of the endpoints.
func Document(specs []Spec, version string) []byte {
	schemas := &schemas{made: object{}}
	paths := object{}
	for _, spec := range specs {
		pattern := strings.TrimSuffix(spec.Pattern, "{$}")
		at, ok := paths[pattern].(object)
		if !ok {
			at = object{}
			paths[pattern] = at
		}
		at[strings.ToLower(spec.Method)] = spec.operation(schemas)
	}
	if version == "" {
		version = "unreleased"
	}
	doc := object{
		"openapi": "3.0.3",
		"info": object{
			"title": "Skein", "version": version,
			"description": "Any agent answers any question and accepts any order. Reads say how stale they are in " +
				"X-Skein-Index and X-Skein-Stale-Ms. " +
				"Writes are answered once they are committed; repeating one with the same client token (clientToken in the body, " +
				"or the header Idempotency-Key) changes nothing. " +
				"Over the unix socket of a voter writes need nothing else; everywhere else they need an operator token.",
		},
		"paths": paths,
		"components": object{
			"schemas": schemas.made,
			"securitySchemes": object{"operator": object{"type": "http", "scheme": "bearer",
				"description": "An operator token; see POST /v1/tokens."}},
		},
	}
	body, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		panic("api: the OpenAPI document cannot be encoded: " + err.Error())
	}
	return body
}

func (s Spec) operation(named *schemas) object {
	op := object{"summary": s.Summary, "operationId": s.id(), "responses": s.responses(named)}
	if params := s.parameters(); len(params) > 0 {
		op["parameters"] = params
	}
	if s.Body != nil {
		op["requestBody"] = object{"required": s.Method == http.MethodPost || s.Method == http.MethodPut ||
			s.Method == http.MethodPatch,
			"content": object{"application/json": object{"schema": named.ref(reflect.ValueOf(s.Body))}}}
	}
	if s.Kind == Write || s.Private {
		op["security"] = []any{object{"operator": []any{}}, object{}}
	}
	return op
}

// id names an operation: "postServicesNameScale".
func (s Spec) id() string {
	id := strings.ToLower(s.Method)
	for _, part := range strings.FieldsFunc(strings.TrimPrefix(s.Pattern, "/v1"),
		func(r rune) bool { return strings.ContainsRune("/{}.$", r) }) {
		id += strings.ToUpper(part[:1]) + part[1:]
	}
	return id
}

func (s Spec) parameters() []any {
	var params []any
	for part := range strings.SplitSeq(s.Pattern, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok && name != "$}" {
			params = append(params, object{"name": strings.TrimSuffix(name, "}"), "in": "path", "required": true,
				"schema": object{"type": "string"}})
		}
	}
	for _, p := range s.Query {
		params = append(params, object{"name": p.Name, "in": "query", "description": p.Doc, "allowEmptyValue": true,
			"schema": object{"type": "string"}})
	}
	if s.Kind == Read {
		params = append(params,
			object{"name": types.HeaderIndex, "in": "header",
				"description": "answer with this index at least, as a write gave it; waits up to " + types.IndexWait.String(),
				"schema":      object{"type": "string"}})
	}
	if s.Kind == Write {
		params = append(params,
			object{"name": types.HeaderToken, "in": "header", "description": "client token, when the body holds none",
				"schema": object{"type": "string", "maxLength": types.MaxClientToken}})
	}
	return params
}

func (s Spec) responses(named *schemas) object {
	content := object{}
	media := s.Media
	if media == "" {
		media = "application/json"
	}
	if s.Answer != nil {
		content[media] = object{"schema": named.ref(reflect.ValueOf(s.Answer))}
	} else if media == "application/json" {
		content[media] = object{"schema": object{"type": "object"}}
	} else {
		content[media] = object{"schema": object{"type": "string"}}
	}
	good := object{"description": "done", "content": content}
	switch s.Kind {
	case Read:
		good["description"] = "the answer, with how stale it is"
		good["headers"] = documented(map[string]string{
			types.HeaderIndex:  "log index that the answer shows",
			types.HeaderStale:  "milliseconds since this was known to be the newest",
			types.HeaderFleet:  "the fleet that the index is of",
			types.HeaderBehind: "true when the answer does not show the index asked for",
			types.HeaderCutOff: "true when the answering host hears no leader",
		})
	case Write:
		good["headers"] = documented(map[string]string{
			types.HeaderIndex: "log index of the write; give it to reads that must show it",
			types.HeaderFleet: "the fleet that the index is of",
		})
	default: // of this answer nothing more is to be known
	}
	status := "200"
	if s.StatusCode() == http.StatusCreated {
		status = "201"
	}
	responses := object{status: good}
	if s.Kind != Plain {
		responses["default"] = object{"description": "refused: what, why and what to do",
			"content": object{"application/json": object{"schema": named.ref(reflect.ValueOf(types.ErrorAnswer{}))}}}
	} else if strings.HasPrefix(s.Pattern, "/readyz") {
		responses["503"] = object{"description": "not ready, and why", "content": content}
	}
	return responses
}

// documented are headers of an answer by what they say.
func documented(says map[string]string) object {
	headers := object{}
	for name, text := range says {
		headers[name] = object{"description": text, "schema": object{"type": "string"}}
	}
	return headers
}

// schemas are the document's named schemas, made from the types of answers.
type schemas struct{ made object }

var stampType = reflect.TypeFor[types.Stamp]()

func (s *schemas) ref(v reflect.Value) object {
	if body, ok := v.Interface().(ECSBody); ok {
		return s.ecs(body)
	}
	return s.of(v.Type())
}

func (s *schemas) of(t reflect.Type) object {
	switch {
	case t == stampType:
		return object{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Pointer:
		return s.of(t.Elem())
	case t.Kind() == reflect.Struct:
		if _, done := s.made[t.Name()]; !done {
			s.made[t.Name()] = object{} // a type that holds itself ends here
			s.made[t.Name()] = s.structure(t)
		}
		return object{"$ref": "#/components/schemas/" + t.Name()}
	case t.Kind() == reflect.Slice:
		return object{"type": "array", "items": s.of(t.Elem())}
	case t.Kind() == reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case t.Kind() == reflect.String:
		return object{"type": "string"}
	case t.Kind() == reflect.Bool:
		return object{"type": "boolean"}
	case t.Kind() == reflect.Float64:
		return object{"type": "number"}
	default:
		return object{"type": "integer", "format": "int64"}
	}
}

func (s *schemas) structure(t reflect.Type) object {
	properties, required := object{}, []any{}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			inner := s.structure(f.Type)
			for name, p := range inner["properties"].(object) {
				properties[name] = p
			}
			if r, ok := inner["required"].([]any); ok {
				required = append(required, r...)
			}
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		properties[name] = s.property(f)
		if options == "" {
			required = append(required, name)
		}
	}
	schema := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

// property is a field's schema. A reference takes no siblings in OpenAPI 3.0,
// so what is said of one stands around it.
func (s *schemas) property(f reflect.StructField) object {
	schema := s.of(f.Type)
	doc, nullable := f.Tag.Get("doc"), f.Tag.Get("nullable") == "true"
	if _, isRef := schema["$ref"]; isRef && (doc != "" || nullable) {
		schema = object{"allOf": []any{schema}}
	}
	if doc != "" {
		schema["description"] = doc
	}
	if nullable {
		schema["nullable"] = true
	}
	if enum := f.Tag.Get("enum"); enum != "" {
		values := []any{}
		for value := range strings.SplitSeq(enum, ",") {
			values = append(values, value)
		}
		schema["enum"] = values
	}
	return schema
}

// ecs makes a body's schema from its table: the names and what becomes of them.
func (s *schemas) ecs(body ECSBody) object {
	name := "ECS " + string(body)
	name = strings.ReplaceAll(name, " ", "_")
	if _, done := s.made[name]; done {
		return object{"$ref": "#/components/schemas/" + name}
	}
	root := object{"type": "object", "properties": object{}, "additionalProperties": false,
		"description": "As in ECS; every field says what becomes of it. Fields that are refused are listed so that nobody " +
			"wonders."}
	places := map[string]object{"": root}
	for _, f := range body.fields() {
		at, leaf := "", f.Path
		if i := strings.LastIndexByte(f.Path, '.'); i >= 0 {
			at, leaf = f.Path[:i], f.Path[i+1:]
		}
		schema := object{"description": describe(f)}
		leaf, list := strings.CutSuffix(leaf, "[]")
		hasChildren := slices.ContainsFunc(body.fields(), func(o strictjson.Field) bool {
			return strings.HasPrefix(o.Path, f.Path+".")
		})
		inner := schema
		if list {
			inner = object{}
			schema["type"], schema["items"] = "array", inner
		}
		if hasChildren {
			inner["type"], inner["properties"], inner["additionalProperties"] = "object", object{}, false
		}
		places[f.Path] = inner
		places[at]["properties"].(object)[leaf] = schema
	}
	s.made[name] = root
	return object{"$ref": "#/components/schemas/" + name}
}

func describe(f strictjson.Field) string {
	if f.Why == "" {
		return f.Handling.String()
	}
	return f.Handling.String() + ": " + f.Why
}
