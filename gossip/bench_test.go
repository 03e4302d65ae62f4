package gossip

import (
	"testing"
	"time"

	"skein/raftfsm/fleet"
)

func BenchmarkDecodeReport(b *testing.B) {
	r := report(1, 1, 5)
	r.Host, r.Runtime, r.Version = hostID(1), "containerd 1.6.20", "v1"
	encoded, err := encodeReport(r)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := decodeReport(encoded); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(encoded)), "B/report")
}

// One push/pull of the largest fleet Skein is designed for.
func BenchmarkPushPullStateOf10000Hosts(b *testing.B) {
	table, now := newReports(), time.Now()
	for i := range 10_000 {
		r := report(1, 1, i)
		r.Host, r.Runtime, r.Version = hostID(i), "containerd 1.6.20", "v1"
		encoded, err := encodeReport(r)
		if err != nil {
			b.Fatal(err)
		}
		table.put(r, encoded, 0, true, now)
	}
	for b.Loop() {
		count := 0
		err := splitState(table.state(), func(encoded []byte) {
			var r fleet.CapacityReport
			var err error
			if r, err = decodeReport(encoded); err != nil {
				b.Fatal(err)
			}
			if table.put(r, encoded, 0, true, now) {
				count++
			}
		})
		if err != nil || count != 0 {
			b.Fatalf("%d newer, %v", count, err)
		}
	}
	b.ReportMetric(float64(len(table.state())), "B/state")
}
