package workload

import "time"

// Preset is every parameter of a World.
type Preset struct {
	Name        string
	Shape       Shape
	Utilisation float64 // share of the scarcer of cpu and memory that all tasks reserve together, on average
	Batch       float64 // share of tasks, and of that, that are jobs
	Mix         Mix
	Deploy      DeployRates
	Scale       ScaleRates
	Jobs        JobRates // PerMinute 0: as many as keep the share of jobs running
	Failures    FailureRates
}

// Published is shaped like published traces. Where nothing was published the
// numbers are choices of this package, and say so.
func Published() Preset {
	return Preset{
		Name:        "published",
		Shape:       Mixed(),
		Utilisation: 0.60, // a choice: room for a zone of the smaller ones to be lost
		Batch:       0.25, // a choice
		Mix: Mix{
			PerService: 50, Zipf: 1.2, Soft: 0.5, Dynamic: 0.60, Fixed: 0.02,
			Checked: 0.70, // a choice
			Follow:  0.30,
			Kinds:   20, // a choice
		},
		Deploy: DeployRates{Every: 3 * day, Working: 0.70, Fail: 0.10},
		Scale:  ScaleRates{Swing: 0.40, Step: 5 * time.Minute},
		Jobs: JobRates{
			Swing: 0.5, Burst: Burst{Every: 10 * time.Minute, Chance: 0.1, Lasts: 20 * time.Second, Factor: 10},
			Single: 0.75, Alpha: 0.9, MostTasks: 10_000,
			Lifetimes: []Lifetime{{0.60, time.Minute, 1.2}, {0.30, 15 * time.Minute, 1.0}, {0.10, 8 * time.Hour, 1.0}},
			Exits:     []float64{0.88, 0.08, 0.01, 0.03},
		},
		Failures: FailureRates{
			Host: 120 * day, Zone: 90 * day, Agent: 10 * day, Reboot: time.Minute,
			Repair: 0.3, Hands: Lifetime{Median: 4 * time.Hour, Sigma: 1}, // choices
			Outage: Lifetime{Median: 30 * time.Minute, Sigma: 0.8}, // a choice
		},
	}
}

// Steady is a fleet where little happens: a deployment a month of each service,
// a few long jobs, no scaling, and hosts and agents that rarely fail. It shows
// what idle time costs.
func Steady() Preset {
	p := Published()
	p.Name = "steady"
	p.Batch = 0.02
	p.Mix.Follow, p.Scale.Step = 0, 0
	p.Deploy.Every, p.Deploy.Fail = 30*day, 0
	p.Jobs.Burst, p.Jobs.Swing = Burst{}, 0
	p.Jobs.Single, p.Jobs.Lifetimes = 1, []Lifetime{{1, 8 * time.Hour, 1}}
	p.Failures.Host, p.Failures.Zone, p.Failures.Agent = 360*day, 0, 100*day
	return p
}

// ByName finds a preset.
func ByName(name string) (p Preset, ok bool) {
	for _, p := range []Preset{Published(), Steady()} {
		if p.Name == name {
			return p, true
		}
	}
	return Preset{}, false
}
