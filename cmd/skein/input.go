package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxInput bounds what is read from a file before it is sent: the API takes
// 256 KiB.
const maxInput = 1 << 20

// readInput reads a file, or standard input for "-". A pipe that nobody writes to
// and a terminal are waited for until the command is interrupted.
func readInput(ctx context.Context, path string) ([]byte, error) {
	var text []byte
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		text, err = readBounded(path)
	}()
	select {
	case <-done:
		return text, err
	case <-ctx.Done():
		return nil, fmt.Errorf("read %s: interrupted", path)
	}
}

func readBounded(path string) ([]byte, error) {
	in := io.Reader(os.Stdin)
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, &usageError{err}
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err != nil {
		return nil, &usageError{err}
	}
	if len(text) > maxInput {
		return nil, &usageError{fmt.Errorf("%s: more than %d bytes are not read", path, maxInput)}
	}
	return text, nil
}

// members reads a JSON object, each member as it is written: what is inside them,
// large numbers and names given twice, is the agent's to judge.
func members(text []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	all := map[string]any{}
	if first, err := dec.Token(); err != nil {
		return nil, notJSON(text, err)
	} else if first != json.Delim('{') {
		return nil, errors.New(`the document must be an object, like {"desiredCount": 3}`)
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, notJSON(text, err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, notJSON(text, err)
		}
		if _, twice := all[name.(string)]; twice {
			return nil, fmt.Errorf("%s: given twice in one object; keep one", name)
		}
		all[name.(string)] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, notJSON(text, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("something follows the document's end at byte %d", dec.InputOffset())
	}
	return all, nil
}

// notJSON says where text stops being JSON.
func notJSON(text []byte, err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		before := text[:min(int(syntax.Offset), len(text))]
		return fmt.Errorf("not valid JSON: line %d: %w", 1+bytes.Count(before, []byte("\n")), syntax)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("not valid JSON: the document ends too early")
	}
	return fmt.Errorf("not valid JSON: %w", err)
}
