package strictjson

import (
	"fmt"
	"strings"

	"skein/raftfsm/fleet"
)

// maxProblems bounds what one answer lists; nobody mends more at once.
const maxProblems = 20

// Warning is something a document asked for that is not done.
type Warning struct {
	Field   string
	Message string
}

// String is "field: message".
func (w Warning) String() string { return w.Field + ": " + w.Message }

// Problems collects what is wrong with a document. The zero value is empty.
type Problems struct {
	errs     []*fleet.FieldError
	more     int
	warnings []Warning
}

// Refuse adds a refusal of one field.
func (p *Problems) Refuse(path, format string, args ...any) {
	if p.full() {
		p.more++
		return
	}
	p.errs = append(p.errs, &fleet.FieldError{Field: Show(path), Why: fmt.Sprintf(format, args...)})
}

func (p *Problems) full() bool { return len(p.errs) == maxProblems }

// Warn adds a warning about one field.
func (p *Problems) Warn(path, format string, args ...any) {
	if len(p.warnings) < maxProblems {
		p.warnings = append(p.warnings, Warning{Show(path), fmt.Sprintf(format, args...)})
	}
}

// Warnings are what was warned of, in document order.
func (p *Problems) Warnings() []Warning { return p.warnings }

// Err is nil or an *Errors.
func (p *Problems) Err() error {
	if len(p.errs) == 0 {
		return nil
	}
	return &Errors{Fields: p.errs, More: p.more}
}

// Errors is a refusal of one or more fields. It unwraps to its FieldErrors, so
// errors.Is(err, fleet.ErrInvalid) is true.
type Errors struct {
	Fields []*fleet.FieldError // at least one, in document order
	More   int                 // further problems that are not listed
}

func (e *Errors) Error() string {
	lines := make([]string, 0, len(e.Fields)+1)
	for _, f := range e.Fields {
		lines = append(lines, f.Error())
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", e.More))
	}
	return strings.Join(lines, "; ")
}

// Unwrap returns every field's refusal.
func (e *Errors) Unwrap() []error {
	errs := make([]error, len(e.Fields))
	for i, f := range e.Fields {
		errs[i] = f
	}
	return errs
}
