package containerd

import (
	"context"
	"fmt"
	"time"

	apievents "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/v2/core/events"
	"github.com/containerd/typeurl/v2"

	"skein/runtime/port"
)

const (
	// probeTopic and probeEvery: the daemon does not say when a subscription
	// stands, so we publish events of our own until one comes back.
	probeTopic = "/skein/probe"
	probeEvery = 50 * time.Millisecond
	probeWait  = 10 * time.Second
	// beatEvery and beatMissed: a daemon that hangs keeps its connections.
	beatEvery  = 10 * time.Second
	beatMissed = 30 * time.Second
)

// Watch sends the id of a container whenever it may have changed, and "" once
// the watch stands, so that whoever lists then misses nothing. A slow reader
// hears of a container once, however often it changed. It returns nil at the
// context's end and port.ErrRuntimeDown when the daemon is lost.
func (c *Client) Watch(ctx context.Context, changed chan<- string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, failed := c.daemon.EventService().Subscribe(ctx,
		fmt.Sprintf(`namespace==%q,topic~=%q`, c.config.Namespace, "^/tasks/(create|start|exit|oom|delete|paused|resumed)$"),
		fmt.Sprintf(`namespace==%q,topic~=%q`, c.config.Namespace, "^/containers/(create|delete)$"),
		fmt.Sprintf(`namespace==%q,topic==%q`, c.config.Namespace, probeTopic),
	)
	w := watcher{c: c, pending: map[string]bool{}, started: time.Now()}
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for {
		// The nil channel of an empty set is never ready.
		next, out := w.next(changed)
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("watch containers: %w: %w", port.ErrRuntimeDown, err)
		case event := <-stream:
			w.take(event)
		case out <- next:
			delete(w.pending, next)
		case now := <-ticker.C:
			if err := w.beat(ctx, now, ticker); err != nil {
				return fmt.Errorf("watch containers: %w: %w", port.ErrRuntimeDown, err)
			}
		}
	}
}

type watcher struct {
	c       *Client
	pending map[string]bool
	started time.Time
	heard   time.Time // of a probe of ours; zero until the watch stands
}

func (w *watcher) next(changed chan<- string) (string, chan<- string) {
	for id := range w.pending {
		return id, changed
	}
	return "", nil
}

func (w *watcher) take(event *events.Envelope) {
	if event == nil {
		return
	}
	if event.Topic == probeTopic {
		if w.heard.IsZero() {
			w.pending[""] = true
		}
		w.heard = time.Now()
		return
	}
	w.pending[w.c.ids.of(containerOf(event))] = true
}

// beat publishes a probe: often until the watch stands, then to see that it
// still does.
func (w *watcher) beat(ctx context.Context, now time.Time, ticker *time.Ticker) error {
	switch {
	case w.heard.IsZero() && now.Sub(w.started) > probeWait:
		return fmt.Errorf("no event came back in %v", probeWait)
	case !w.heard.IsZero() && now.Sub(w.heard) > beatMissed:
		return fmt.Errorf("no event came back for %v", beatMissed)
	case !w.heard.IsZero():
		ticker.Reset(beatEvery)
	}
	ctx, cancel := w.c.within(ctx, readyTimeout)
	defer cancel()
	return w.c.daemon.EventService().Publish(ctx, probeTopic, &apievents.ContainerCreate{ID: "probe"})
}

// containerOf is the runtime id an event is about; empty when it cannot be read,
// which makes its hearer list all.
func containerOf(event *events.Envelope) string {
	message, err := typeurl.UnmarshalAny(event.Event)
	if err != nil {
		return ""
	}
	switch m := message.(type) {
	case *apievents.ContainerCreate:
		return m.ID
	case *apievents.ContainerDelete:
		return m.ID
	case interface{ GetContainerID() string }:
		return m.GetContainerID()
	default:
		return ""
	}
}
