package lab

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func serveTest(t *testing.T, answer answerer) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sk") // short: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	listener, err := listenControl(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() { _ = serveControl(context.Background(), listener, answer) }()
	return path
}

func TestARequestTravelsWithItsFiles(t *testing.T) {
	path := serveTest(t, func(_ context.Context, ask request, files []*os.File) response {
		for _, file := range files {
			if _, err := file.WriteString(ask.Argv[0]); err != nil {
				return response{Error: err.Error()}
			}
		}
		return response{Exit: len(files)}
	})
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	answer, err := askControl(t.Context(), path, request{Op: opRun, Argv: []string{"hello "}},
		[]*os.File{write, write, write}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	write.Close()
	got, err := io.ReadAll(read)
	if err != nil || answer.Exit != 3 || string(got) != "hello hello hello " {
		t.Errorf("exit %d, %q, %v", answer.Exit, got, err)
	}
}

func TestRefusalsComeAsErrors(t *testing.T) {
	path := serveTest(t, func(context.Context, request, []*os.File) response { return response{Error: "not today"} })
	if _, err := askControl(t.Context(), path, request{Op: opStatus}, nil, time.Second); err == nil ||
		err.Error() != "not today" {
		t.Errorf("got %v", err)
	}
	if _, err := askControl(t.Context(), path+".none", request{}, nil, time.Second); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no socket: %v", err)
	}
}

func TestAnAnswerThatDoesNotComeEndsInTimeAndIsToldTheAnswerer(t *testing.T) {
	gone := make(chan struct{})
	path := serveTest(t, func(ctx context.Context, _ request, _ []*os.File) response {
		<-ctx.Done()
		close(gone)
		return response{}
	})
	if _, err := askControl(t.Context(), path, request{Op: opRun}, nil, 50*time.Millisecond); !errors.Is(err,
		context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	select {
	case <-gone:
	case <-time.After(5 * time.Second):
		t.Error("the answerer was not told that the asker has gone")
	}
}

func TestGarbageOnTheControlSocketIsRefused(t *testing.T) {
	path := serveTest(t, func(context.Context, request, []*os.File) response {
		t.Error("garbage was answered")
		return response{}
	})
	// A request of the wrong type, through the same door.
	_, err := askControl(t.Context(), path, request{Op: strings.Repeat("x", maxControlBytes)}, nil, time.Second)
	if err == nil {
		t.Error("an oversize request was taken")
	}
}
