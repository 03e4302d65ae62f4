package sim_test

import (
	"os"
	"syscall"
	"testing"
	"time"

	"skein/agent/sim"
	"skein/agent/sim/virtual"
	"skein/agent/sim/workload"
)

// BenchmarkMonth is processor time an event of a simulated fleet under the steady
// workload, start-up included: 1,000 hosts for 3 days with SKEIN_BENCH=full, as
// `skein sim --hosts 1000 --days 3 --seed 5`, otherwise 100 hosts for a day.
func BenchmarkMonth(b *testing.B) {
	if fullSize {
		lives(b, 1_000, 72*time.Hour)
	} else {
		lives(b, 100, 24*time.Hour)
	}
}

// BenchmarkStartUp is what it takes until a fleet that boots all its hosts and makes
// all its services at once has them up, five hours on: 10,000 hosts and 200,000 tasks
// with SKEIN_BENCH=full, otherwise a tenth.
func BenchmarkStartUp(b *testing.B) {
	if fullSize {
		lives(b, 10_000, 5*time.Hour)
	} else {
		lives(b, 1_000, 5*time.Hour)
	}
}

// fullSize says that benchmarks run at the sizes of the goals, which takes minutes.
var fullSize = os.Getenv("SKEIN_BENCH") == "full"

// lives has fleets with 20 tasks a host live for a span.
func lives(b *testing.B, hosts int, span time.Duration) {
	b.Helper()
	const seed = 5
	preset, ok := workload.ByName("steady")
	if !ok {
		b.Fatal("there is no steady workload")
	}
	events, began := uint64(0), processorTime(b)
	for b.Loop() {
		load := workload.Draw(virtual.NewChance(seed, "fleet"), hosts, 20*hosts, preset)
		month := sim.NewMonth(seed, load, b.Context().Done())
		failure, err := month.Run(span, func(time.Duration) {})
		if err != nil || failure != nil {
			b.Fatal(err, failure)
		}
		events += month.World.Events()
	}
	took := processorTime(b) - began
	b.ReportMetric(took.Seconds()/float64(b.N), "cpu-s")
	b.ReportMetric(float64(took.Microseconds())/float64(events), "cpu-us/event")
	b.ReportMetric(float64(events)/float64(b.N), "events")
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
