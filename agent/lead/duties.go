package lead

import (
	"context"
	"log/slog"
	"sync"
)

// duties runs a leader's duties for as long as it leads.
type duties struct {
	log    *slog.Logger
	all    []Duty
	cancel context.CancelFunc // nil while none run
	done   sync.WaitGroup
}

func (d *duties) start(ctx context.Context) {
	ctx, d.cancel = context.WithCancel(ctx)
	for _, duty := range d.all {
		d.done.Go(func() {
			if err := duty.Run(ctx); err != nil && ctx.Err() == nil {
				d.log.Error("duty ended", "duty", duty.Name, "err", err)
			}
		})
	}
}

// stop ends the duties and waits for them, so that duties of two terms never run at the
// same time.
func (d *duties) stop() {
	if d.cancel == nil {
		return
	}
	d.cancel()
	d.cancel = nil
	d.done.Wait()
}
