package converge

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"skein/raftfsm/fleet"
)

func TestANoteIsLoggedWithWhatItIsAboutAndWhy(t *testing.T) {
	for name, tt := range map[string]struct {
		note  Note
		task  string
		said  []string
		never []string
	}{
		"of a task": {Note{Code: NoteRetry, Reason: "registry down"}, "t1",
			[]string{string(NoteRetry), "task=t1", `reason="registry down"`}, nil},
		"of the host": {Note{Code: NoteRuntimeDown, Reason: "gone"}, "", []string{"level=WARN", "reason=gone"},
			[]string{"task="}},
		"without a reason": {Note{Code: NoteRetry}, "t1", []string{"task=t1"}, []string{"reason="}},
		"that stands out":  {Note{Code: NoteMassStop, Reason: "half"}, "", []string{"level=ERROR", "reason=half"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			h := &Host{cfg: Config{Log: slog.New(slog.NewTextHandler(&out, nil))}}
			h.log(fleet.TaskID(tt.task), tt.note)
			for _, part := range tt.said {
				if !strings.Contains(out.String(), part) {
					t.Errorf("%q does not say %s", out.String(), part)
				}
			}
			for _, part := range tt.never {
				if strings.Contains(out.String(), part) {
					t.Errorf("%q says %s", out.String(), part)
				}
			}
		})
	}
}
