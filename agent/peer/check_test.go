package peer

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}

func wantText(t testing.TB, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Errorf("%q does not say %q", text, part)
	}
}

// waitTime bounds every wait of these tests: far above what any step takes.
const waitTime = 10 * time.Second

// eventually waits for a state; last says what was seen when it never came.
func eventually(t testing.TB, what string, last func() string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(waitTime); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s; last: %s", what, last())
		}
	}
}
