package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"skein/agent/api/types"
	"skein/cmd/skein/client"
	"skein/raftfsm/fleet"
)

const (
	// maxEventBytes bounds one event of the stream; most have a few hundred bytes.
	maxEventBytes = 64 << 10
	// followPause is between two tries after a stream has ended.
	followPause = time.Second
)

// followEvents hands over each event after a number until ctx ends, across streams
// that are cut. About is a filter of the query, like "&service=web", or empty.
func followEvents(
	ctx context.Context, agent *client.Client, about string, after uint64, each func(types.Event) error,
) error {
	for {
		err := followOnce(ctx, agent, about, &after, each)
		var refused *client.Error
		if ctx.Err() != nil {
			return nil
		}
		if errors.As(err, &refused) && refused.Status < 500 && refused.Status != 429 {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followPause):
		}
	}
}

func followOnce(
	ctx context.Context, agent *client.Client, about string, after *uint64, each func(types.Event) error,
) error {
	stream, err := agent.Stream(ctx, fmt.Sprintf("/v1/events/stream?after=%d%s", *after, about))
	if err != nil {
		return err
	}
	defer stream.Close()
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, maxEventBytes)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok {
			continue
		}
		var event types.Event
		if err := json.Unmarshal([]byte(data), &event); err != nil || event.Seq == 0 {
			continue // an event of another kind
		}
		*after = event.Seq
		if err := each(event); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.EOF
}

// clockTime is a stamp as a person reads it beside others of one day.
func clockTime(at types.Stamp) string { return fleet.Time(at).Std().Local().Format("15:04:05.000") }
