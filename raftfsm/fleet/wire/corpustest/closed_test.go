package corpustest

import (
	"maps"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"skein/raftfsm/fleet"
)

// Once agents of a format run, nothing of it may change.
func TestNothingOfAClosedFormatChanges(t *testing.T) {
	problems, err := CheckClosed(os.DirFS("../../../.."), fleet.ClosedFormat, *record)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Error(problem)
	}
}

func TestTheCodeIsOfAClosedFormatOrTheNext(t *testing.T) {
	if f := fleet.FormatVersion; f < fleet.ClosedFormat || f > fleet.ClosedFormat+1 || f < 1 {
		t.Errorf("this build reads format %d, and format %d is closed", f, fleet.ClosedFormat)
	}
}

func TestAChangeOfAClosedFormatIsFound(t *testing.T) {
	t.Chdir(t.TempDir())
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	const corpus = "a/testdata/corpus/"
	repository := fstest.MapFS{
		corpus + "format-1/log-1":        file("one"),
		corpus + "format-1/log-1.want":   file("means"),
		corpus + "format-2/log-2":        file("two"),
		corpus + "fields":                file("thing 1 string 1\nthing 2 string 2\n"),
		"b/testdata/entries.golden":      file("1 init-fleet a1\n"),
		"b/testdata/other":               file("x"),
		".hidden/testdata/corpus/fields": file("thing 1 string 1\n"),
	}
	if problems, err := CheckClosed(repository, 1, false); err != nil || len(problems) != 1 ||
		!strings.Contains(problems[0], "-record") {
		t.Fatalf("closed and not recorded: %q, %v", problems, err)
	}
	if problems, err := CheckClosed(repository, 1, true); err != nil || len(problems) != 0 {
		t.Fatalf("recorded: %q, %v", problems, err)
	}
	for name, tt := range map[string]struct {
		file, text string // empty: it is gone
		want       string // empty: that may be
	}{
		"nothing":                        {"b/testdata/other", "y", ""},
		"a recorded thing":               {corpus + "format-1/log-1", "eins", "log-1 "},
		"what it means":                  {corpus + "format-1/log-1.want", "otherwise", "log-1.want"},
		"a recorded thing that is gone":  {corpus + "format-1/log-1", "", "log-1 "},
		"one more":                       {corpus + "format-1/log-9", "nine", ""},
		"a thing of the open format":     {corpus + "format-2/log-2", "zwei", ""},
		"a field's shape":                {corpus + "fields", "thing 1 integer 1\nthing 2 string 2\n", "thing 1 string 1"},
		"a field that is not listed":     {corpus + "fields", "thing 2 string 2\n", "thing 1 string 1"},
		"a field that is gone by record": {corpus + "fields", "thing 1 string 1 removed\n", ""},
		"a field of the open format":     {corpus + "fields", "thing 1 string 1\nthing 2 integer 2\n", ""},
		"the bytes of an entry":          {"b/testdata/entries.golden", "1 init-fleet a2\n", "entries.golden"},
		"an entry more":                  {"b/testdata/entries.golden", "1 init-fleet a1\n2 put-token a1\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			changed := maps.Clone(repository)
			changed[tt.file] = file(tt.text)
			if tt.text == "" {
				delete(changed, tt.file)
			}
			problems, err := CheckClosed(changed, 1, true)
			if got := strings.Join(problems, "; "); err != nil || tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
	if problems, err := CheckClosed(repository, 0, false); err != nil || len(problems) != 1 ||
		!strings.Contains(problems[0], "cannot be opened again") {
		t.Errorf("opened again: %q, %v", problems, err)
	}
}
