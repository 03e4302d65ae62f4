package deployment

import (
	"fmt"
	"strings"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/text"
	"skein/raftfsm/fleet/wire"
)

// KindLogTail is the kind of effects that read the last lines of a hook task's log. Their
// role is the task's host.
const KindLogTail = "log-tail"

// LogTail is the input of an effect that reads a log.
type LogTail struct {
	Task      fleet.TaskID `cbor:"1,keyasint"`
	Container string       `cbor:"2,keyasint,omitempty"` // empty: the essential one that failed, else the first
}

// LogTailInput is the input of reading a hook task's log.
func LogTailInput(t LogTail) ([]byte, error) { return wire.Marshal(t) }

// ReadLogTail is the inverse of LogTailInput.
func ReadLogTail(input []byte) (t LogTail, err error) { return t, wire.Unmarshal(input, &t) }

// EncodeTail makes the outcome of lines, the newest last: the last MaxTailLines of them
// that fit into MaxTail.
func EncodeTail(lines []string) ([]byte, error) {
	kept := make([]string, 0, MaxTailLines)
	room := MaxTail
	for i := len(lines) - 1; i >= 0 && len(kept) < MaxTailLines; i-- {
		line := text.Clean(lines[i])
		if room -= len(line) + len(divider); room < 0 {
			if len(kept) == 0 {
				kept = append(kept, text.Cut(line, MaxTail))
			}
			break
		}
		kept = append(kept, line)
	}
	reversed := make([]string, 0, len(kept))
	for i := len(kept) - 1; i >= 0; i-- {
		reversed = append(reversed, kept[i])
	}
	return wire.Marshal(tail{reversed})
}

const divider = " | "

// tail is the outcome of reading a log.
type tail struct {
	Lines []string `cbor:"1,keyasint,omitempty"`
}

func tailLines(outcome []byte) ([]string, error) {
	var t tail
	err := wire.Unmarshal(outcome, &t)
	return t.Lines, err
}

// ReadTail is the text of an outcome, lines divided by " | ", for HookRun.Answer; empty
// when there is none.
func ReadTail(outcome []byte) string {
	lines, err := tailLines(outcome)
	if err != nil {
		return ""
	}
	return text.Cut(text.Clean(strings.Join(lines, divider)), MaxTail)
}

// TailDetails are what a hook's task gave back: where its last line is a JSON object with
// hookDetails, as a webhook answers, those; else nil.
func TailDetails(outcome []byte) []byte {
	lines, err := tailLines(outcome)
	if err != nil || len(lines) == 0 {
		return nil
	}
	answer, err := object([]byte(lines[len(lines)-1]))
	if err != nil {
		return nil
	}
	details := answer["hookDetails"]
	if _, err := object(details); err != nil {
		return nil
	}
	return details
}

// TaskAnswer is what people read of a hook task that ended.
func TaskAnswer(exitCode int, tail string) string {
	if tail == "" {
		return fmt.Sprintf("exit code %d", exitCode)
	}
	return fmt.Sprintf("exit code %d: %s", exitCode, tail)
}
