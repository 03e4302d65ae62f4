package detector

import (
	"testing"
	"time"
)

func TestFreshness(t *testing.T) {
	type step struct {
		at      time.Duration // seconds are enough
		leads   bool
		asked   time.Duration // when at is the answer's time
		told    uint64        // by the leader; 0: only look
		applied uint64
		want    time.Duration
	}
	const s = time.Second
	tests := map[string][]step{
		"nobody ever told it anything": {{at: 5 * s, applied: 9, want: -time.Millisecond}},
		"it has all that the leader told, as of the question": {
			{at: 5 * s, asked: 4 * s, told: 9, applied: 9, want: s},
			{at: 7 * s, applied: 9, want: 3 * s},
		},
		"it lacks what the leader told, until that is applied": {
			{at: 1 * s, asked: 1 * s, told: 9, applied: 9, want: 0},
			{at: 3 * s, asked: 3 * s, told: 12, applied: 9, want: 2 * s},
			{at: 9 * s, applied: 11, want: 8 * s},
			{at: 10 * s, applied: 12, want: 7 * s},
		},
		"a leader that goes on answering does not make it fresh": {
			{at: 1 * s, asked: 1 * s, told: 9, applied: 9, want: 0},
			{at: 2 * s, asked: 2 * s, told: 10, applied: 9, want: s},
			{at: 20 * s, asked: 20 * s, told: 11, applied: 9, want: 19 * s},
		},
		"always a little behind is fresh as of what it reached": {
			{at: 1 * s, asked: 1 * s, told: 10, applied: 9, want: -time.Millisecond},
			{at: 2 * s, asked: 2 * s, told: 11, applied: 10, want: s},
			{at: 3 * s, asked: 3 * s, told: 12, applied: 11, want: s},
			{at: 4 * s, asked: 4 * s, told: 13, applied: 12, want: s},
		},
		"it led, and ages from when it did": {
			{at: 5 * s, leads: true, applied: 3, want: 0},
			{at: 8 * s, applied: 3, want: 3 * s},
		},
		"an answer to an old question does not make it older": {
			{at: 5 * s, leads: true, applied: 3, want: 0},
			{at: 6 * s, asked: 2 * s, told: 3, applied: 3, want: s},
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			var f Freshness
			for i, step := range steps {
				if step.leads {
					f.Leads(step.at)
				}
				if step.told != 0 {
					f.Hear(step.asked, step.told, step.applied)
				}
				if got := f.Age(step.at, step.applied); got != step.want {
					t.Errorf("step %d: %s old, want %s", i, got, step.want)
				}
			}
		})
	}
}
