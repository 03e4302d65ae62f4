package converge

import (
	"context"
	"time"
)

const (
	pingEvery  = 5 * time.Second        // a runtime that hangs keeps its stream open: it must be asked
	pingWithin = 5 * time.Second        //
	pingPause  = 250 * time.Millisecond // between two tries while it is down
	changeRoom = 256                    // hints that wait; they are all alike, more would say no more
)

// watch tells the machine whether the runtime answers, and of changes in it,
// until ctx ends.
func (h *Host) watch(ctx context.Context) {
	for ctx.Err() == nil {
		if h.ping(ctx) {
			h.follow(ctx)
		}
		pause(ctx, pingPause)
	}
}

// ping asks the runtime whether it is there and tells the machine.
func (h *Host) ping(ctx context.Context) bool {
	asked, cancel := context.WithTimeout(ctx, pingWithin)
	defer cancel()
	version, err := h.cfg.Containers.Ready(asked)
	switch {
	case ctx.Err() != nil:
		return false
	case err != nil:
		h.post(RuntimeDown{Err: err})
		return false
	}
	h.post(RuntimeUp{Version: version})
	return true
}

// follow passes on the runtime's hints until its stream ends or it no longer
// answers.
func (h *Host) follow(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed, ended := make(chan string, changeRoom), make(chan error, 1)
	go func() { ended <- h.cfg.Containers.Watch(ctx, changed) }()
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case id := <-changed:
			h.post(ContainerChanged{ID: id})
		case <-tick.C:
			if !h.ping(ctx) {
				cancel()
				<-ended
				return
			}
		case <-ended:
			h.post(ContainerChanged{}) // what happened meanwhile was not heard
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
