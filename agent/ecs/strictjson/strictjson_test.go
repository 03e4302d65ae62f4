package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"skein/raftfsm/fleet"
)

func parse(t *testing.T, doc string) Value {
	t.Helper()
	v, err := Parse([]byte(doc), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestIdleValuesAskForNothing(t *testing.T) {
	for doc, idle := range map[string]bool{
		`null`: true, `false`: true, `""`: true, `[]`: true, `{}`: true, `{"a": {"b": [], "c": false}}`: true,
		`true`: false, `0`: false, `"x"`: false, `[[]]`: false, `{"a": 0}`: false,
	} {
		if got := parse(t, doc).Idle(); got != idle {
			t.Errorf("%s: idle %v", doc, got)
		}
	}
	if !(Value{}).Idle() {
		t.Error("what is absent asks for nothing")
	}
}

func TestAMemberIsEmptyOnlyAsAnEmptyString(t *testing.T) {
	doc := parse(t, `{"empty": "", "text": "x", "null": null, "list": [], "object": {}, "zero": 0, "no": false}`)
	o := Root(doc, &Problems{})
	for _, name := range []string{"empty", "text", "null", "list", "object", "zero", "no", "absent"} {
		if got := o.Empty(name); got != (name == "empty") {
			t.Errorf("%s: empty %v", name, got)
		}
	}
}

func TestASyntaxErrorSaysWhereItIs(t *testing.T) {
	tooDeep, tooMany := strings.Repeat("[", MaxDepth+1), strings.Repeat("1,\n", maxValues-1)
	for name, tt := range map[string]struct {
		doc          string
		line, column int
		why          string
	}{
		"a list that closes where a value belongs":    {"[1,\n ]", 2, 2, "looking for beginning of value"},
		"an object that closes where a value belongs": {"{\"a\":\n}", 2, 1, "looking for beginning of value"},
		"a document of a bracket that closes":         {"}", 1, 1, "looking for beginning of value"},
		"the bracket that nests too deep":             {"\n" + tooDeep, 2, MaxDepth + 1, "nested deeper"},
		"the value that is one too many":              {"[" + tooMany + "2]", maxValues, 1, "values"},
		"the end of what is cut off":                  {"[1,\n2", 2, 2, "ends too early"},
	} {
		t.Run(name, func(t *testing.T) {
			var got *SyntaxError
			_, err := Parse([]byte(tt.doc), 1<<20)
			if !errors.As(err, &got) || got.Line != tt.line || got.Column != tt.column || !strings.Contains(got.Why, tt.why) {
				t.Errorf("got %+v, want line %d, column %d: %s", got, tt.line, tt.column, tt.why)
			}
		})
	}
}

var table = NewTable("test", []Field{
	{"name", Used, ""}, {"ports[]", Used, ""}, {"ports[].number", Used, ""},
	{"old", Ignored, "it is old"}, {"new", Refused, "it is new"}, {"log", Mapped, "it goes elsewhere"},
	{"log.driver", Used, ""},
})

func TestAuditJudgesEveryFieldByItsRow(t *testing.T) {
	tests := map[string]struct {
		doc     string
		strict  bool
		refused string
		warned  string
	}{
		"all used":                        {`{"name": "x", "ports": [{"number": 1}]}`, true, "", ""},
		"an unknown one with a near name": {`{"nam": "x"}`, false, "nam: unknown field; did you mean name?", ""},
		"an unknown one in another case": {`{"Name": "x"}`, false, "Name: unknown field; names are camelCase: write name",
			""},
		"one that belongs elsewhere": {`{"number": 1}`, false, "number: unknown field; it belongs at ports[].number", ""},
		"one like nothing": {`{"zzzzzzzz": 1}`, false,
			"zzzzzzzz: unknown field; known here are name, ports, old, new, log", ""},
		"one far too long": {`{"` + strings.Repeat("n", 5000) + `": 1}`, false, strings.Repeat("n", 80) +
			"...: unknown field", ""},
		"unknown in a list, with its place": {`{"ports": [{"number": 1}, {"numer": 1}]}`, false,
			"ports[1].numer: unknown field; did you mean number?", ""},
		"an ignored one":                   {`{"old": 1}`, false, "", "old: ignored: it is old"},
		"an ignored one that asks nothing": {`{"old": []}`, false, "", ""},
		"a refused one":                    {`{"new": 1}`, false, "new: it is new", ""},
		"a refused one that asks nothing":  {`{"new": false}`, false, "", ""},
		"a mapped one":                     {`{"log": {"driver": "x"}}`, false, "", "log: it goes elsewhere"},
		"unknown below a mapped one": {`{"log": {"drive": "x"}}`, false, "log.drive: unknown field",
			"log: it goes elsewhere"},
		"an ignored one, strict": {`{"old": []}`, true, "old: ignored: it is old; strict accepts only", ""},
		"a mapped one, strict":   {`{"log": {}}`, true, "log: mapped: it goes elsewhere; strict", ""},
		"null, strict":           {`{"old": null, "new": null}`, true, "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := &Problems{}
			table.Audit(parse(t, tt.doc), tt.strict, p)
			err := p.Err()
			if tt.refused == "" && err != nil || tt.refused != "" && (err == nil || !strings.Contains(err.Error(), tt.refused)) {
				t.Errorf("refused %v, want %q", err, tt.refused)
			}
			if err != nil && !errors.Is(err, fleet.ErrInvalid) {
				t.Error("a refusal must be ErrInvalid")
			}
			got := ""
			for _, w := range p.Warnings() {
				got += w.String()
			}
			if got != tt.warned {
				t.Errorf("warned %q, want %q", got, tt.warned)
			}
		})
	}
}

func TestATableWithAMistakePanics(t *testing.T) {
	for name, fields := range map[string][]Field{
		"a row without its parent's": {{"a.b", Used, ""}},
		"a row given twice":          {{"a", Used, ""}, {"a[]", Used, ""}},
		"a refusal without a reason": {{"a", Refused, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it was accepted")
				}
			}()
			NewTable("wrong", fields)
		})
	}
}

func TestReadersCollectEveryProblem(t *testing.T) {
	p := &Problems{}
	o := Root(parse(t,
		`{"s": 1, "i": "x", "b": 0, "l": {}, "o": [], "f": 1.0, "big": 99999999999999999999, "low": 0, "c": "z", "long": "xxxx", "t": ["a", 1]}`), p)
	o.Text("s", 9)
	o.Int("i", 0, 0, 9)
	o.Bool("b", false)
	o.Texts("l", 9, 9)
	o.Object("o")
	o.Int("f", 0, 0, 9)
	o.Int("big", 0, 0, 9)
	o.Int("low", 0, 1, 9)
	o.Choice("c", "x", "y")
	o.Text("long", 3)
	o.Texts("t", 9, 9)
	o.Objects("t", 1)
	want := `s: is a number, must be a string; i: is a string, must be a whole number; b: is a number, must be true or false; l: is an object, must be a list; ` +
		`o: is a list, must be an object; f: 1.0 is not a whole number (0 to 9); big: 99999999999999999999 is not a whole number (0 to 9); low: 0 is below 1 (1 to 9); ` +
		`c: "z" is not known; allowed are x, y; long: 4 bytes, at most 3; t[1]: is a number, must be a string; t: 2 entries, at most 1`
	if got := p.Err().Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestBombsCostLittle(t *testing.T) {
	const size = 256 << 10
	for name, doc := range map[string]string{
		"lists in a list": "[" + strings.Repeat("[],", size/3-1) + "[]]",
		"empty objects":   "[" + strings.Repeat("{},", size/3-1) + "{}]",
		"numbers":         "[" + strings.Repeat("1,", size/2-2) + "1]",
		"one long string": `"` + strings.Repeat(`\u0041`, size/6-1) + `"`,
		"deep":            strings.Repeat("[", size),
		"one huge number": strings.Repeat("9", size-1),
		"the same key":    `{` + strings.Repeat(`"a":1,`, size/6-1) + `"a":1}`,
		"many members":    manyMembers(size),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			v, err := Parse([]byte(doc), size)
			if err == nil {
				table.Audit(v, false, &Problems{})
			}
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > 32<<20 {
				t.Errorf("took %d MiB", used>>20)
			}
		})
	}
}

func manyMembers(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size-32; i++ {
		fmt.Fprintf(&b, `,"%d":1`, i)
	}
	return "{" + b.String()[1:] + "}"
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{"a": [1, "x", null, true, {"b": 1e9}]}`, `[`, `{"a": 1, "a": 2}`, "\"\\ud800\"", `1 2`,
		strings.Repeat("[", 70)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Parse(data, 1<<16)
		if err != nil {
			var syntax *SyntaxError
			if errors.As(err, &syntax) && (syntax.Line < 1 || syntax.Column < 1) {
				t.Fatalf("a place that is none: %v", err)
			}
			return
		}
		if !json.Valid(data) {
			t.Fatalf("accepted what is not JSON: %q", data)
		}
		table.Audit(v, true, &Problems{})
	})
}
