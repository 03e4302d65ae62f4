package types

// ErrorAnswer is the body of every refusal.
type ErrorAnswer struct {
	Error Problem `json:"error"`
}

// Problem says what was refused, why, and what to do.
type Problem struct {
	Code    string         `json:"code" doc:"constant, for programs: invalid, not-found, conflict, no-leader, ..."`
	Message string         `json:"message" doc:"what was refused and why, for people"`
	Field   string         `json:"field,omitempty" doc:"path of the field that was refused, when it is one"`
	Hint    string         `json:"hint,omitempty" doc:"what to do"`
	Fields  []FieldProblem `json:"fields,omitempty" doc:"every field refused, when there is more than one"`
}

// FieldProblem is the refusal of one field.
type FieldProblem struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}
