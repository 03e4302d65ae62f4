package workload

import (
	"time"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// DeployRates say how often services get a new version.
type DeployRates struct {
	Every   time.Duration // of each service, on average; 0: never
	Working float64       // share in working hours
	Fail    float64       // share whose tasks never get healthy
}

// Deploy is a new version of a service.
type Deploy struct {
	Service int // of those that were drawn
	Version int // of its image: 2, 3, ...
	Fails   bool
}

func (Deploy) event() {}

// Working hours are 9 to 17, Monday to Friday: a choice of this package.
const (
	workBegin = 9
	workEnd   = 17
	workDays  = 5
	workWeek  = workDays * (workEnd - workBegin) * time.Hour
)

// working reports whether people work at a time.
func working(at time.Duration) bool {
	hour := int(at % day / time.Hour)
	return at%week < workDays*day && hour >= workBegin && hour < workEnd
}

// Deployments is the stream of Deploy.
type Deployments struct {
	arrivals
	rates    DeployRates
	versions []int
}

// NewDeployments makes the stream for so many services.
func NewDeployments(c *virtual.Chance, services int, r DeployRates) *Deployments {
	d := &Deployments{rates: r, versions: make([]int, services)}
	d.arrivals = arrivals{chance: c, rate: d.at}
	return d
}

func (d *Deployments) at(from time.Duration) (float64, time.Duration) {
	mean := perSecond(float64(len(d.versions)), d.rates.Every)
	if mean == 0 {
		return 0, Never
	}
	until := (from/time.Hour + 1) * time.Hour
	if working(from) {
		return mean * d.rates.Working * float64(week) / float64(workWeek), until
	}
	return mean * (1 - d.rates.Working) * float64(week) / float64(week-workWeek), until
}

// Next is the next deployment.
func (d *Deployments) Next() (time.Duration, Event) {
	at := d.next()
	if at == Never {
		return Never, nil
	}
	i := d.chance.IntN(len(d.versions))
	d.versions[i]++
	return at, Deploy{Service: i, Version: d.versions[i] + 1, Fails: d.chance.Is(d.rates.Fail)}
}

// Register is the command that registers the version it deploys.
func (d Deploy) Register(services []Service) fleet.RegisterTaskDef {
	return services[d.Service].Register(d.Version)
}
