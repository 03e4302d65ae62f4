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

// Watch sends the id of a container whenever it may have changed by itself or by
// another's hand, and "" once the watch stands, so that whoever lists then misses
// nothing. Create and Start tell what they did: an event of theirs, or of the end
// of an Exec, would only make the caller list all containers once more. A slow
// reader hears of a container once, however often it changed. It returns nil at
// the context's end and port.ErrRuntimeDown when the daemon is lost.
func (c *Client) Watch(ctx context.Context, changed chan<- string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, failed := c.daemon.EventService().Subscribe(ctx,
		fmt.Sprintf(`namespace==%q,topic~=%q`, c.config.Namespace, "^/tasks/(exit|oom|delete|paused|resumed)$"),
		fmt.Sprintf(`namespace==%q,topic==%q`, c.config.Namespace, "/containers/delete"),
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
	if id, changed := containerOf(event); changed {
		w.pending[w.c.ids.of(id)] = true
	}
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

// containerOf is the runtime id an event is about, and whether it is about the
// container and not only about a process that Exec ran in it. The id is empty when
// the event cannot be read, which makes its hearer list all.
func containerOf(event *events.Envelope) (id string, changed bool) {
	message, err := typeurl.UnmarshalAny(event.Event)
	if err != nil {
		return "", true
	}
	switch m := message.(type) {
	case *apievents.ContainerDelete:
		return m.ID, true
	case *apievents.TaskExit:
		return m.ContainerID, m.ID == "" || m.ID == m.ContainerID
	case *apievents.TaskDelete:
		return m.ContainerID, m.ID == "" || m.ID == m.ContainerID
	case interface{ GetContainerID() string }:
		return m.GetContainerID(), true
	default:
		return "", true
	}
}
