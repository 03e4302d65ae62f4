package fleet_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"skein/raftfsm/fleet"
)

// scenario makes commands about what is there, and about what is not.
type scenario struct {
	t testing.TB
	*fleet.State
	*rand.Rand
	seed uint64
	at   fleet.Time
	next int
	past []fleet.Entry // what newScenario applied
}

func newScenario(t testing.TB, seed uint64) *scenario {
	t.Logf("seed %d", seed)
	g := &scenario{t: t, State: fleet.New(), Rand: rand.New(rand.NewPCG(seed, 0)), seed: seed, at: 1_700_000_000_000}
	g.play(fleet.InitFleet{
		ID: "f", CABundle: make([]byte, 4), SealedKeys: fleet.SealedKeys{Version: 1, CA: make([]byte, 4),
			Gossip: make([]byte, 4)},
		Host: g.admission(1), RaftID: fleet.MakeRaftID(g.host(1), 1), Format: fleet.FormatVersion,
	})
	g.play(fleet.PutToken{ID: "first", TokenKind: fleet.TokenJoin, Hash: make([]byte, 32), Uses: 9, NotAfter: g.at + 1000})
	for n := 1; n <= 6; n++ {
		if n > 1 {
			g.play(fleet.AdmitHost{Token: "first", SecretHash: make([]byte, 32), Host: g.admission(n)})
		}
		open := g.session(g.Host(g.host(n)), 1)
		open.Format = fleet.FormatVersion
		g.play(open)
		g.play(fleet.Report{Host: g.host(n), Session: 1, Seq: 1, SelfCheck: []fleet.Check{{Name: "disk", OK: true}}})
	}
	g.next = 6
	return g
}

func (g *scenario) session(h *fleet.Host, rise uint64) fleet.OpenSession {
	return fleet.OpenSession{
		Host: h.ID, Boot: fmt.Sprint("boot-", g.IntN(3)), Nonce: h.Session.Nonce + rise, Zone: string(rune('a' + g.IntN(3))),
		Addr: netip.MustParseAddrPort("10.0.0.1:7000"), Capacity: fleet.Resources{CPU: 4000, Memory: 4000},
		Format: fleet.FormatVersion + g.IntN(6)/4 - g.IntN(6)/4,
	}
}

func (g *scenario) play(c fleet.Command) {
	e := fleet.Entry{At: g.at, Items: []fleet.Item{{Command: c}}}
	g.past = append(g.past, e)
	if res := g.Apply(g.Index()+1, e).Results[0]; res.Err != nil {
		g.t.Fatalf("%T: %v", c, res.Err)
	}
}

func (g *scenario) host(n int) fleet.HostID { return fleet.HostID(fmt.Sprint("h-", n)) }

func (g *scenario) admission(n int) fleet.Admission {
	return fleet.Admission{ID: g.host(n), Name: fmt.Sprint("h", n%9), Zone: string(rune('a' + n%3)),
		PublicKey: fmt.Sprint("key", n)}
}

func (g *scenario) items() []fleet.Item {
	items := make([]fleet.Item, 1+g.IntN(4))
	for i := range items {
		items[i] = fleet.Item{Command: g.command(), By: "game", Reason: []string{"", "because"}[g.IntN(2)]}
		if g.IntN(4) == 0 {
			items[i].Receipt = &fleet.Receipt{Token: fmt.Sprint("t", g.IntN(50)), BodyHash: make([]byte, 32)}
		}
	}
	return items
}

// command moves time a little and picks one.
func (g *scenario) command() fleet.Command {
	switch g.IntN(40) {
	case 0:
		g.at += fleet.Time(g.IntN(7_200_000))
	case 1:
		g.at -= fleet.Time(g.IntN(5_000)) // another proposer's clock
	default:
		g.at += fleet.Time(g.IntN(2_000))
	}
	n := g.IntN(100)
	switch {
	case n < 34:
		return g.report()
	case n < 39:
		return g.assign()
	case n < 40:
		return g.settingsOfHooks()
	case n < 45:
		return g.place()
	case n < 52:
		return g.deploymentCommand()
	case n < 58:
		return g.create()
	case n < 60:
		return g.replace()
	case n < 66:
		return g.stop()
	case n < 78:
		return g.hostCommand()
	case n < 85:
		return g.serviceCommand()
	case n < 88:
		if g.IntN(4) == 0 {
			return g.entryCommand()
		}
		return g.trafficCommand()
	case n < 92:
		return g.effectCommand()
	default:
		return g.fleetCommand()
	}
}

func (g *scenario) someHost() *fleet.Host {
	all := slices.Collect(g.Hosts())
	h := all[g.IntN(len(all))]
	if h.State == fleet.HostForgotten || h.Cert.Revoked {
		h = all[g.IntN(len(all))]
	}
	return h
}

func (g *scenario) someTask(of func(*fleet.Task) bool) fleet.TaskID {
	var all []fleet.TaskID
	for t := range g.Tasks() {
		if of(t) {
			all = append(all, t.ID)
		}
	}
	if len(all) == 0 || g.IntN(20) == 0 {
		return "nobody"
	}
	return all[g.IntN(len(all))]
}

func (g *scenario) report() fleet.Command {
	h := g.someHost()
	c := fleet.Report{Host: h.ID, Session: h.Session.N, Seq: h.ReportSeq + uint64(g.IntN(3))}
	if g.IntN(3) == 0 {
		c.SelfCheck = []fleet.Check{{Name: "disk", Required: true, OK: g.IntN(4) > 0}}
	}
	if g.IntN(30) == 0 {
		c.Session--
	}
	if g.IntN(40) == 0 {
		c.Capacity = &fleet.Resources{CPU: int64(g.IntN(8000)), Memory: int64(g.IntN(8000))}
	}
	for range g.IntN(4) {
		id := g.someTask(func(t *fleet.Task) bool {
			return t.Host == h.ID && !t.Stopped() || t.Unconfirmed || g.IntN(50) == 0
		})
		r := fleet.TaskReport{Task: id, Status: fleet.TaskStatus(2 + g.IntN(7)), Health: fleet.Health(g.IntN(4)),
			Attempt: 1 + g.IntN(2)}
		if g.IntN(2) == 0 {
			r.Status, r.Attempt = fleet.TaskRunning, 1
		}
		if r.Status > fleet.TaskRunning {
			code := g.IntN(3)
			r.Exits = []fleet.ContainerExit{{Container: "app", Code: &code}}
			r.StartedAt, r.StoppedAt = fleet.Time(g.IntN(2)*1000), fleet.Time(1000+g.IntN(20_000))
		}
		for range g.IntN(2) {
			r.Targets = append(r.Targets, fleet.TargetReport{Group: g.someGroup(), State: fleet.TargetState(1 + g.IntN(3)),
				Reason: []string{"", "because"}[g.IntN(2)]})
		}
		for i := range g.IntN(3) {
			r.Containers = append(r.Containers, fleet.ContainerState{
				Name: fmt.Sprint("c", i), Status: fleet.TaskPending, Health: fleet.Health(g.IntN(4)), Attempt: g.IntN(4),
			})
		}
		c.Tasks = append(c.Tasks, r)
	}
	return c
}

// place gives what waits to two hosts or three, of which some may take nothing.
func (g *scenario) place() fleet.Command {
	var c fleet.PlaceTasks
	for range 1 + g.IntN(3) {
		if share := g.assign().(fleet.AssignTasks); len(share.Tasks) > 0 {
			c.Shares = append(c.Shares, share)
		}
	}
	return c
}

func (g *scenario) assign() fleet.Command {
	h := g.someHost()
	c := fleet.AssignTasks{Host: h.ID}
	var def fleet.TaskDefID
	for t := range g.Unassigned() {
		if (def == "" || t.TaskDef == def) && g.IntN(2) == 0 {
			def = t.TaskDef
			c.Tasks = append(c.Tasks, t.ID)
		}
		if len(c.Tasks) == 3 {
			break
		}
	}
	d := g.TaskDef(def)
	if d == nil || len(d.Containers[0].PortMappings) == 0 {
		return c
	}
	for range c.Tasks {
		c.Ports = append(c.Ports,
			[]fleet.PortBinding{{Container: "app", ContainerPort: 80, HostPort: 49153 + g.IntN(40), Protocol: fleet.TCP}})
	}
	return c
}

func (g *scenario) newTasks() []fleet.TaskID {
	var ids []fleet.TaskID
	for range 1 + g.IntN(4) {
		g.next++
		ids = append(ids, fleet.TaskID(fmt.Sprintf("t-%05d", g.next)))
	}
	return ids
}

func (g *scenario) create() fleet.Command {
	name := g.someService()
	if v := g.Service(name); v != nil && g.IntN(8) > 0 {
		goals := g.Goals(name)
		if goals == nil || g.IntN(10) == 0 {
			return g.goals(v)
		}
		return fleet.CreateTasks{Revision: goals.Revisions[g.IntN(len(goals.Revisions))].Revision, Tasks: g.newTasks()}
	}
	return fleet.RunTasks{TaskDef: fleet.MakeTaskDefID(name, 1), Tasks: g.newTasks()}
}

// goals are the service's own, or of several revisions, or for what it was.
func (g *scenario) goals(v *fleet.Service) fleet.Command {
	c := v.DefaultGoals()
	switch g.IntN(6) {
	case 0:
		c.ServiceModifyIndex -= uint64(g.IntN(2))
		c.Max += g.IntN(10)
	case 1:
		c.Revisions = nil
		for r := range g.Revisions(v.Name) {
			c.Revisions = append(c.Revisions, fleet.RevisionGoal{Revision: r.ID, Desired: g.IntN(3), Max: 2 + g.IntN(4)})
		}
		c.Max = 3 * len(c.Revisions)
	}
	return c
}

func (g *scenario) replace() fleet.Command {
	id := g.someTask(func(t *fleet.Task) bool { return t.Service != "" && t.Desired == fleet.TaskRunning })
	return fleet.ReplaceTasks{Tasks: []fleet.TaskID{id}, Cause: fleet.Cause(g.IntN(11))}
}

func (g *scenario) stop() fleet.Command {
	c := fleet.StopTasks{Cause: fleet.Cause(g.IntN(11)), Reason: "game"}
	if c.Cause == 0 {
		c.Code = fleet.StopCode(g.IntN(8)) // as entries had it before causes
	}
	for range 1 + g.IntN(3) {
		id := g.someTask(func(t *fleet.Task) bool { return !t.Stopped() })
		c.Tasks = append(c.Tasks, id)
		if t := g.Task(id); t != nil {
			c.ExpectedModifyIndex = append(c.ExpectedModifyIndex, t.ModifyIndex)
		}
	}
	if g.IntN(2) == 0 {
		c.ExpectedModifyIndex = nil
	}
	return c
}

func (g *scenario) hostCommand() fleet.Command {
	h := g.someHost()
	n := h.Session.N
	if h.State == fleet.HostLost && g.IntN(3) == 0 {
		return fleet.ExpireTasks{Host: h.ID}
	}
	if h.State == fleet.HostSilent && g.IntN(3) == 0 {
		return fleet.LoseHost{Host: h.ID, Session: n}
	}
	switch g.IntN(14) {
	case 0:
		return fleet.SilenceHost{Host: h.ID, Session: n}
	case 2:
		return fleet.LoseHost{Host: h.ID, Session: n}
	case 3:
		return fleet.ReturnHost{Host: h.ID, Session: n}
	case 4:
		return fleet.ExpireTasks{Host: h.ID}
	case 5:
		return fleet.CordonHost{Host: h.ID, Why: "game"}
	case 1, 6:
		return fleet.UncordonHost{Host: h.ID}
	case 7:
		switch g.IntN(10) {
		case 0:
			return fleet.RevokeCert{Host: h.ID}
		case 1:
			return fleet.ForgetHost{Host: h.ID, Force: true}
		}
		return fleet.ForgetHost{Host: h.ID}
	case 8:
		g.next++
		id := g.next
		if h.Cert.Revoked && g.IntN(2) == 0 {
			fmt.Sscanf(string(h.ID), "h-%d", &id)
		}
		return fleet.AdmitHost{Token: g.someToken(), SecretHash: make([]byte, 32), Host: g.admission(id)}
	default:
		return g.session(h, uint64(g.IntN(9)))
	}
}

func (g *scenario) someToken() fleet.TokenID {
	for t := range g.Tokens() {
		if g.IntN(2) == 0 {
			return t.ID
		}
	}
	return "none"
}

func (g *scenario) someService() string { return []string{"web", "db", "web-x", "api"}[g.IntN(4)] }

func (g *scenario) serviceCommand() fleet.Command {
	name := g.someService()
	switch g.IntN(8) {
	case 0, 1:
		d := fleet.TaskDef{NetworkMode: fleet.NetworkBridge,
			Containers: []fleet.Container{{Name: "app", Image: "x", CPU: int64(g.IntN(300)), Memory: int64(g.IntN(300))}}}
		if g.IntN(2) == 0 {
			d.Containers[0].PortMappings = []fleet.PortMapping{{ContainerPort: 80, Protocol: fleet.TCP}}
		}
		if g.IntN(2) == 0 {
			d.Containers[0].HealthCheck = &fleet.HealthCheck{Command: []string{"x"}, IntervalS: 5, TimeoutS: 2, Retries: 1}
		}
		return fleet.RegisterTaskDef{Family: name, Def: d}
	case 2, 3, 4:
		c := fleet.PutService{
			Name: name, TaskDef: fleet.MakeTaskDefID(name, 1+g.IntN(3)), Desired: 2 + g.IntN(8), MinPercent: 50,
			MaxPercent: 100 + g.IntN(150),
			GraceS:     g.IntN(3) * 30, Force: g.IntN(4) == 0,
		}
		if v := g.Service(name); v != nil && g.IntN(10) > 0 {
			c.ExpectedModifyIndex = v.ModifyIndex
		}
		if g.IntN(2) == 0 {
			c.LoadBalancers = []fleet.LoadBalancer{{Container: "app", ContainerPort: 80, Group: g.someGroup()}}
			if g.IntN(2) == 0 {
				c.LoadBalancers[0].ProductionRule = g.someRule()
			}
			if g.IntN(2) == 0 {
				c.LoadBalancers[0].AlternateGroup = g.someGroup()
			}
		}
		c.Deployment = g.deploymentConfig()
		return c
	case 5:
		return fleet.ScaleService{Name: name, Desired: g.IntN(15)}
	case 6:
		return fleet.DeleteService{Name: name, Force: g.IntN(5) == 0}
	default:
		c := fleet.PutCondition{Subject: fleet.ServiceSubject(name),
			Code: []string{"", "no-host-fits", "crash-back-off"}[g.IntN(3)], Until: g.at + fleet.Time(g.IntN(10_000))}
		if g.IntN(2) == 0 {
			c.Subject = fleet.TaskSubject(g.someTask(func(t *fleet.Task) bool { return t.Host == "" }))
		}
		return c
	}
}

func (g *scenario) effectCommand() fleet.Command {
	var open []*fleet.Effect
	for e := range g.OpenEffects() {
		open = append(open, e)
	}
	if len(open) == 0 || g.IntN(3) == 0 {
		return g.intend()
	}
	e := open[g.IntN(len(open))]
	h := g.someHost()
	if named := g.Host(fleet.HostID(e.Role.Name)); named != nil && g.IntN(3) > 0 {
		h = named
	}
	if e.Status == fleet.EffectPending && g.IntN(8) > 0 {
		return fleet.HandEffect{ID: e.ID, Attempt: e.Attempt + 1, Host: h.ID, Session: h.Session.N}
	}
	if g.IntN(10) == 0 {
		return fleet.WithdrawEffect{ID: e.ID, Why: "game"}
	}
	return fleet.FinishEffect{
		ID: e.ID, Attempt: max(0, e.Attempt-g.IntN(20)/19), Verdict: fleet.EffectVerdict(g.IntN(8)), Outcome: []byte("game"),
		Why: "game",
	}
}

func (g *scenario) intend() fleet.Command {
	g.next++
	subjects := []fleet.Subject{fleet.ServiceSubject(g.someService()), fleet.HostSubject(g.someHost().ID),
		fleet.FleetSubject()}
	subjects = append(subjects, fleet.TaskSubject(g.someTask(func(*fleet.Task) bool { return true })))
	return fleet.IntendEffect{
		ID: fleet.EffectID(fmt.Sprint("e-", g.next)), EffectKind: "webhook", Subject: subjects[g.IntN(4)],
		Role:  []fleet.Role{fleet.VoterRole(), fleet.DriverRole("aws"), fleet.HostRole(g.someHost().ID)}[g.IntN(3)],
		Input: []byte("game"), Deadline: g.at + fleet.Time(g.IntN(100_000)), TimeoutMs: int64(g.IntN(20_000)),
		MaxAttempts: g.IntN(4),
	}
}

func (g *scenario) fleetCommand() fleet.Command {
	switch g.IntN(9) {
	case 0:
		g.next++
		return fleet.PutToken{ID: fleet.TokenID(fmt.Sprint("tok-", g.next)), TokenKind: fleet.TokenJoin,
			Hash: make([]byte, 32), Uses: 1 + g.IntN(3), NotAfter: g.at + fleet.Time(g.IntN(7_200_000))}
	case 1:
		return fleet.DeleteToken{ID: g.someToken()}
	case 2, 3, 4:
		return g.voterCommand()
	case 5:
		return fleet.PutSealedKeys{Keys: fleet.SealedKeys{Version: g.Fleet().SealedKeys.Version + 1, CA: make([]byte, 4),
			Gossip: make([]byte, 4)}}
	case 6:
		return fleet.PutSetting{Name: fleet.SettingNames()[g.IntN(3)], Value: []int64{3, 5, 10_000, 60_000}[g.IntN(4)]}
	case 7:
		if g.IntN(2) == 0 {
			return fleet.RaiseFormat{Format: g.Fleet().Format + 1, Force: true}
		}
		return fleet.RaiseFormat{Format: g.Fleet().Format + 1, At: fleet.Time(g.IntN(2)) * (g.Now() + 60_000)}
	default:
		return fleet.Prune{Before: g.at - fleet.Time(3_600_000+g.IntN(1_000_000))}
	}
}

func (g *scenario) voterCommand() fleet.Command {
	for v := range g.Voters() {
		if g.IntN(4) == 0 {
			if v.Phase == fleet.VoterVoting && g.IntN(4) == 0 {
				return fleet.NoteLeader{ID: v.ID, LeaderlessMs: int64(g.IntN(20_000))}
			}
			if v.Phase == fleet.VoterRetiring {
				return fleet.RemoveVoter{ID: v.ID}
			}
			return fleet.SetVoter{ID: v.ID, Phase: v.Phase + 1}
		}
	}
	h := g.someHost()
	return fleet.SetVoter{ID: fleet.MakeRaftID(h.ID, h.LastRaft+g.IntN(2)), Phase: fleet.VoterPreparing}
}

func (g *scenario) someGroup() fleet.TargetGroupName {
	return []fleet.TargetGroupName{"blue", "green", "red"}[g.IntN(3)]
}

func (g *scenario) someListener() fleet.ListenerName {
	return []fleet.ListenerName{"shop", "api"}[g.IntN(2)]
}

func (g *scenario) someRule() fleet.RuleID {
	return fleet.MakeRuleID(g.someListener(), []string{fleet.DefaultRule, "a", "b"}[g.IntN(3)])
}

func (g *scenario) forward() fleet.Action {
	return fleet.Action{Forward: &fleet.Forward{Groups: g.weights()}}
}

func (g *scenario) weights() []fleet.GroupWeight {
	first := g.IntN(fleet.TotalWeight)
	return []fleet.GroupWeight{{Group: g.someGroup(), Weight: first},
		{Group: g.someGroup(), Weight: fleet.TotalWeight - first - g.IntN(20)/19}}
}

// trafficCommand is one about listeners, rules and target groups, most of which are
// there.
func (g *scenario) trafficCommand() fleet.Command {
	l, id, name := g.someListener(), g.someRule(), g.someGroup()
	var listenerAt, ruleAt, groupAt uint64
	if row := g.Listener(l); row != nil {
		listenerAt = row.ModifyIndex
	}
	if row := g.Rule(id); row != nil {
		ruleAt = row.ModifyIndex
	}
	if row := g.TargetGroup(name); row != nil {
		groupAt = row.ModifyIndex
	}
	switch g.IntN(20) {
	case 16, 17:
		return g.exposeService()
	case 0, 1, 2:
		c := fleet.PutListener{Name: l, ExpectedModifyIndex: listenerAt, Port: 80 + g.IntN(2), Protocol: fleet.ListenHTTP}
		if action := g.forward(); listenerAt == 0 {
			c.Default = &action
		}
		return c
	case 3:
		return fleet.DeleteListener{Name: l}
	case 4, 5, 6, 7:
		c := fleet.PutRule{ID: id, ExpectedModifyIndex: ruleAt, Action: g.forward()}
		if !id.Default() {
			c.Priority = 1 + g.IntN(3)
			c.Conditions = []fleet.RuleCondition{{Field: fleet.FieldHost, Values: []string{"a.example"}}}
		}
		return c
	case 8, 18, 19:
		return fleet.DeleteRule{ID: id}
	case 9, 10, 11:
		return g.setWeights(id, ruleAt)
	case 12, 13, 14:
		return fleet.PutTargetGroup{Name: name, ExpectedModifyIndex: groupAt, Protocol: fleet.GroupHTTP1,
			Check: fleet.TargetCheck{IntervalS: 5, TimeoutS: 2, Healthy: 2, Unhealthy: 2}, SlowStartS: g.IntN(2) * 30}
	default:
		return fleet.DeleteTargetGroup{Name: name}
	}
}

// setWeights is about another rule where that one does not forward, or is held.
func (g *scenario) setWeights(id fleet.RuleID, at uint64) fleet.Command {
	fits := func(r *fleet.Rule) bool { return r != nil && r.Action.Forward != nil && g.HolderOf(r) == nil }
	if !fits(g.Rule(id)) {
		for r := range g.Rules() {
			if fits(r) {
				id, at = r.ID, r.ModifyIndex
			}
		}
	}
	return fleet.SetWeights{Rule: id, ExpectedModifyIndex: at, Weights: g.weights()}
}

// exposeService makes a service that has a rule of a listener that is there, or a
// listener of its own; one that is there goes.
func (g *scenario) exposeService() fleet.Command {
	const name = "exposed"
	if g.Service(name) != nil {
		return fleet.DeleteService{Name: name, Force: true}
	}
	group := fleet.PutTargetGroup{Name: fleet.TargetGroupName(name + "-blue"), Protocol: fleet.GroupHTTP1,
		Check: fleet.TargetCheck{IntervalS: 5, TimeoutS: 2, Healthy: 2, Unhealthy: 2}}
	action := fleet.Action{Forward: &fleet.Forward{
		Groups: []fleet.GroupWeight{{Group: group.Name, Weight: fleet.TotalWeight}}}}
	c := fleet.ExposeService{
		Service: fleet.PutService{Name: name, TaskDef: fleet.MakeTaskDefID(g.someService(), 1), Desired: g.IntN(3),
			MinPercent: 100, MaxPercent: 200},
		Groups: []fleet.PutTargetGroup{group},
	}
	if l := g.someListener(); g.Listener(l) != nil {
		c.Rules = []fleet.PutRule{{ID: fleet.MakeRuleID(l, name), Priority: 10 + g.IntN(2), Action: action,
			Conditions: []fleet.RuleCondition{{Field: fleet.FieldHost, Values: []string{name}}}}}
	} else {
		c.Listener = &fleet.PutListener{Name: l, Port: 80 + g.IntN(2), Protocol: fleet.ListenHTTP, Default: &action}
	}
	return c
}

// entryCommand is one about entry addresses.
func (g *scenario) entryCommand() fleet.Command {
	prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(200 + g.IntN(2))}), 8)
	switch g.IntN(8) {
	case 0, 1:
		return fleet.PutEntryAddress{Prefix: prefix}
	case 2:
		return fleet.DeleteEntryAddress{Addr: prefix.Addr()}
	}
	c := fleet.AssignEntryAddress{Addr: prefix.Addr(), Holder: g.someHost().ID, Why: "why"}
	if e := g.EntryAddress(prefix.Addr().String()); e != nil {
		c.ExpectedHolder = e.Holder
	}
	if g.IntN(2) == 0 {
		c.FormerUntil = g.at + 60_000
	}
	return c
}
