package chart_test

import (
	"math"
	"testing"
	"time"

	"skein/agent/sim/chart"
	"skein/agent/sim/virtual"
)

func TestASeriesKeepsFewPointsHoweverLongItGoesOn(t *testing.T) {
	for _, how := range []chart.How{chart.Mean, chart.Max, chart.Sum} {
		s := chart.NewSeries(how, time.Hour)
		for at := time.Duration(0); at < 40*day; at += 7 * time.Minute {
			s.Set(at, 3)
			s.Add(at, 2)
		}
		line, total := s.Line("l", chart.Auto), 0.0
		if n := len(line.Points); n > chart.Points || n < chart.Points/2 {
			t.Errorf("%d points", n)
		}
		for _, p := range line.Points {
			total += p.Value
			if how != chart.Sum && p.Value != 3 {
				t.Fatalf("%v at %s: it was 3 all the time", p.Value, p.At)
			}
		}
		if want := 2 * math.Ceil(40*day.Minutes()/7); how == chart.Sum && total != want {
			t.Errorf("%v were kept of %v that were added", total, want)
		}
	}
}

// The dumb way: every minute's value, kept.
func TestASeriesTellsWhatAllSamplesWouldHaveTold(t *testing.T) {
	c := virtual.NewChance(1, "series")
	const span, minute = 3 * day, time.Minute
	mean, high := chart.NewSeries(chart.Mean, span), chart.NewSeries(chart.Max, span)
	var all []float64
	value := 0.0
	for at := time.Duration(0); at < span; at += minute {
		if c.Is(0.1) {
			value = float64(c.IntN(1000))
			mean.Set(at, value)
			high.Set(at, value)
		}
		all = append(all, value)
	}
	mean.Set(span-1, value)
	high.Set(span-1, value)
	const bucket = int(span / chart.Points / minute)
	means, highs := mean.Line("mean", chart.Auto).Points, high.Line("max", chart.Auto).Points
	for i := range means {
		sum, most := 0.0, 0.0
		for _, v := range all[i*bucket : (i+1)*bucket] {
			sum, most = sum+v, max(most, v)
		}
		if want := sum / float64(bucket); math.Abs(means[i].Value-want) > 1e-3 {
			t.Fatalf("mean of bucket %d: got %v, want %v", i, means[i].Value, want)
		}
		if highs[i].Value != most {
			t.Fatalf("highest of bucket %d: got %v, want %v", i, highs[i].Value, most)
		}
	}
}

func BenchmarkSet(b *testing.B) {
	s := chart.NewSeries(chart.Mean, 30*day)
	for i := 0; b.Loop(); i++ {
		s.Set(time.Duration(i)*time.Millisecond, float64(i&1023))
	}
	b.ReportAllocs()
}
