package detector

import (
	"testing"
	"time"

	"skein/agent/peer/protocol"
)

func TestArrivalsStretchTheLimitOfALateHostOnly(t *testing.T) {
	tests := map[string]struct {
		gaps []time.Duration
		want time.Duration
	}{
		"beats on time": {repeat(protocol.HostBeat, 100), protocol.SuspectAfter},
		"a little late": {repeat(protocol.HostBeat+20*time.Millisecond, 100), protocol.SuspectAfter},
		"two outages do not count": {append(repeat(protocol.HostBeat, 100), 9*time.Second, 9*time.Second),
			protocol.SuspectAfter},
		"always late by 150 ms":      {repeat(protocol.HostBeat+150*time.Millisecond, 100), 850 * time.Millisecond},
		"hopelessly late is bounded": {repeat(4*time.Second, 100), maxSuspectAfter},
		"forgotten after two windows": {append(repeat(2*time.Second, 10),
			repeat(protocol.HostBeat, 2*arrivalWindow+10)...), protocol.SuspectAfter},
		"remembered for at least a window": {append(repeat(2*time.Second, 10), repeat(protocol.HostBeat, arrivalWindow)...),
			maxSuspectAfter},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var a arrivals
			for _, gap := range tt.gaps {
				a.add(gap)
			}
			if got := a.suspectAfter(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func repeat(d time.Duration, n int) []time.Duration {
	out := make([]time.Duration, n)
	for i := range out {
		out[i] = d
	}
	return out
}
