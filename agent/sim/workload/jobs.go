package workload

import (
	"slices"
	"time"

	"skein/agent/sim/virtual"
)

// JobRates say what jobs come.
type JobRates struct {
	PerMinute float64 // on average, bursts aside
	Swing     float64 // up to so much more at 15:00 and less at 03:00
	Burst     Burst
	Single    float64 // share of jobs of one task; the others are Pareto
	Alpha     float64 // exponent of that
	MostTasks int     // of a job
	Lifetimes []Lifetime
	Exits     []float64 // share of each Exit, in their order
}

// Burst is a short time of many jobs: each so often, with a chance.
type Burst struct {
	Every  time.Duration // 0: never
	Chance float64
	Lasts  time.Duration
	Factor float64 // so many times the rate
}

// Lifetime is one part of a mixture of log-normal lifetimes; a job's tasks are
// all of one part.
type Lifetime struct {
	Share  float64
	Median time.Duration
	Sigma  float64
}

// Job is a number of standalone tasks, at once.
type Job struct {
	Kind  int // of those that were drawn
	Lives []Outcome
}

func (Job) event() {}

// Outcome is what becomes of a task once it runs, if nobody stops it.
type Outcome struct {
	Lasts time.Duration
	Exit  Exit
}

// Exit is how a task ends by itself.
type Exit uint8

// The exits.
const (
	Exited Exit = iota // with 0
	Failed             // with another code
	OutOfMemory
	Killed // by a signal from inside
)

// Code is the exit code of its container.
func (e Exit) Code() int { return [...]int{0, 1, 137, 143}[e] }

func (e Exit) String() string {
	return [...]string{"exited", "failed", "out of memory", "killed"}[e]
}

// Jobs is the stream of Job.
type Jobs struct {
	arrivals
	rates  JobRates
	kinds  int
	window time.Duration // end of the time in which one burst may come
	burst  [2]time.Duration
}

// NewJobs makes the stream of jobs of so many kinds.
func NewJobs(c *virtual.Chance, kinds int, r JobRates) *Jobs {
	j := &Jobs{rates: r, kinds: kinds}
	j.arrivals = arrivals{chance: c, rate: j.at}
	return j
}

// at is the rate of a minute, or of what a burst leaves of it.
func (j *Jobs) at(from time.Duration) (float64, time.Duration) {
	mean := perSecond(j.rates.PerMinute, time.Minute)
	if mean == 0 || j.kinds == 0 {
		return 0, Never
	}
	rate, until := mean*(1+j.rates.Swing*sun(from)), (from/time.Minute+1)*time.Minute
	if j.rates.Burst.Every <= 0 {
		return rate, until
	}
	j.open(from)
	switch begin, end := j.burst[0], j.burst[1]; {
	case from < begin:
		return rate, min(until, j.window, begin)
	case from < end:
		return rate * j.rates.Burst.Factor, min(until, j.window, end)
	}
	return rate, min(until, j.window)
}

// open draws whether and when there is a burst in the window a time is in.
func (j *Jobs) open(at time.Duration) {
	for b := j.rates.Burst; at >= j.window; {
		j.burst = [2]time.Duration{}
		if j.chance.Is(b.Chance) {
			begin := j.window + j.chance.Between(0, b.Every-b.Lasts)
			j.burst = [2]time.Duration{begin, begin + b.Lasts}
		}
		j.window += b.Every
	}
}

// Next is the next job.
func (j *Jobs) Next() (time.Duration, Event) {
	at := j.next()
	if at == Never {
		return Never, nil
	}
	tasks := 1
	if !j.chance.Is(j.rates.Single) {
		tasks = pareto(j.chance, j.rates.Alpha, max(j.rates.MostTasks, 1))
	}
	shares := make([]float64, 0, 4)
	for _, l := range j.rates.Lifetimes {
		shares = append(shares, l.Share)
	}
	lasts := j.rates.Lifetimes[weighted(j.chance, shares)]
	job := Job{Kind: j.chance.IntN(j.kinds), Lives: slices.Repeat([]Outcome{{}}, tasks)}
	for i := range job.Lives {
		job.Lives[i] = Outcome{
			Lasts: logNormal(j.chance, lasts.Median, lasts.Sigma),
			Exit:  Exit(weighted(j.chance, j.rates.Exits)),
		}
	}
	return at, job
}
