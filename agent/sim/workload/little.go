package workload

import (
	"fmt"
	"time"
)

// Little is the law of Little for jobs: what runs on average is what comes in a
// second times how long it stays. A workload whose law says something else than
// what was meant is not the one that was meant.
type Little struct {
	JobsPerMinute float64 // bursts included
	TasksPerJob   float64
	Lifetime      time.Duration // mean; most live far shorter
}

// Little is the law for the rates, in the limit of a long time.
func (r JobRates) Little() Little {
	l := Little{JobsPerMinute: r.PerMinute, TasksPerJob: r.Single + (1-r.Single)*paretoMean(r.Alpha, max(r.MostTasks, 1))}
	if b := r.Burst; b.Every > 0 {
		l.JobsPerMinute *= 1 + b.Chance*(b.Factor-1)*float64(b.Lasts)/float64(b.Every)
	}
	shares := 0.0
	for _, t := range r.Lifetimes {
		l.Lifetime += bounded(t.Share * logNormalMean(t.Median, t.Sigma))
		shares += t.Share
	}
	if shares > 0 {
		l.Lifetime = time.Duration(float64(l.Lifetime) / shares)
	}
	return l
}

// Running is how many tasks of jobs run on average.
func (l Little) Running() float64 {
	return l.JobsPerMinute * l.TasksPerJob * l.Lifetime.Minutes()
}

func (l Little) String() string {
	return fmt.Sprintf("%.3g jobs a minute x %.2f tasks x %s = %.0f running",
		l.JobsPerMinute, l.TasksPerJob, l.Lifetime.Round(time.Second), l.Running())
}

// filling returns the rates with as many jobs a minute as keep so many tasks
// running.
func (r JobRates) filling(running float64) JobRates {
	r.PerMinute = 1
	if one := r.Little().Running(); one > 0 && running > 0 {
		r.PerMinute = running / one
	} else {
		r.PerMinute = 0
	}
	return r
}
