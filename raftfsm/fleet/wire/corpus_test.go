package wire_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
	"skein/raftfsm/fleet/wire/corpustest"
)

// history is the log of a small fleet, entry by entry: one host joins and is lost, the
// format is raised, services are made, placed and given traffic, and one is deployed.
func history() []fleet.Entry {
	one, two := fleet.TaskID(strings.Repeat("1a", 16)), fleet.TaskID(strings.Repeat("2b", 16))
	three := fleet.TaskID(strings.Repeat("3c", 16))
	check := fleet.TargetCheck{IntervalS: 5, TimeoutS: 2, Healthy: 2, Unhealthy: 3}
	admission := func(id fleet.HostID, name, zone string) fleet.Admission {
		return fleet.Admission{
			ID: id, Name: name, Zone: zone, PublicKey: strings.Repeat("ab", 31) + name,
			Addr: netip.MustParseAddrPort("10.0.0.1:7700"), Attributes: map[string]string{"disk": "ssd", "arch": "amd64"},
		}
	}
	session := func(id fleet.HostID, nonce uint64) fleet.OpenSession {
		return fleet.OpenSession{
			Host: id, Boot: "boot-1", Nonce: nonce, Zone: "a", Addr: netip.MustParseAddrPort("[fd00::1]:7700"),
			Capacity: fleet.Resources{CPU: 4096, Memory: 8192}, Version: "1.0", Format: 2,
		}
	}
	ready := func(id fleet.HostID) fleet.Report {
		return fleet.Report{Host: id, Session: 1, Seq: 1, SelfCheck: []fleet.Check{{Name: "disk", OK: true, Required: true}}}
	}
	def := fleet.TaskDef{NetworkMode: fleet.NetworkBridge, Containers: []fleet.Container{{
		Name: "app", Image: "web:1", CPU: 256, Memory: 128, StopTimeoutS: 30,
		PortMappings: []fleet.PortMapping{{ContainerPort: 80, Protocol: fleet.TCP}},
	}}}
	commands := [][]fleet.Command{
		{fleet.InitFleet{
			ID: "f-1", Name: "corpus", CABundle: []byte("ca"), RaftID: "h-1.1", Host: admission("h-1", "h1", "a"),
			SealedKeys: fleet.SealedKeys{Version: 1, CA: []byte("x"), Gossip: []byte("y")},
		}},
		{fleet.PutToken{ID: "tok", TokenKind: fleet.TokenJoin, Hash: make([]byte, 32), Uses: 3, NotAfter: 1_800_000_000_000}},
		{session("h-1", 1), ready("h-1")},
		{fleet.AdmitHost{Token: "tok", SecretHash: make([]byte, 32), Host: admission("h-2", "h2", "b")}},
		{session("h-2", 1), ready("h-2"), fleet.CordonHost{Host: "h-2", Why: "new disk"}, fleet.UncordonHost{Host: "h-2"}},
		{fleet.RegisterTaskDef{Family: "web", Def: def}},
		{fleet.PutService{Name: "web", TaskDef: "web:1", Desired: 2, MinPercent: 50, MaxPercent: 200}},
		{
			fleet.PutGoals{
				Service: "web", ServiceModifyIndex: 7, Max: 4,
				Revisions: []fleet.RevisionGoal{{Revision: "web/1", Desired: 2, Max: 4}},
			},
			fleet.CreateTasks{Revision: "web/1", Tasks: []fleet.TaskID{one, two}},
		},
		{fleet.AssignTasks{Host: "h-1", Tasks: []fleet.TaskID{one}, Ports: [][]fleet.PortBinding{{{
			Container: "app", ContainerPort: 80, HostPort: 49153, Protocol: fleet.TCP,
		}}}}},
		{fleet.Report{Host: "h-1", Session: 1, Seq: 2, Tasks: []fleet.TaskReport{{Task: one, Status: fleet.TaskRunning}}}},
		{fleet.PutSetting{Name: fleet.SettingVoters, Value: 5}, fleet.SilenceHost{Host: "h-2", Session: 1}},
		{
			fleet.IntendEffect{
				ID: "e-1", EffectKind: "webhook", Role: fleet.VoterRole(), Subject: fleet.ServiceSubject("web"),
				Input:    []byte("in"),
				Deadline: 1_700_000_600_000, TimeoutMs: 10_000, MaxAttempts: 2,
			},
			fleet.IntendEffect{
				ID: "e-2", EffectKind: "webhook", Role: fleet.HostRole("h-1"), Subject: fleet.HostSubject("h-1"), Token: "t",
				Deadline: 1_700_000_600_000, TimeoutMs: 10_000, MaxAttempts: 1,
			},
			fleet.HandEffect{ID: "e-1", Attempt: 1, Host: "h-1", Session: 1},
			fleet.FinishEffect{ID: "e-1", Attempt: 1, Verdict: fleet.VerdictRetry, Outcome: []byte("out"), Why: "answered 503"},
			fleet.HandEffect{ID: "e-2", Attempt: 1, Host: "h-1", Session: 1},
			fleet.WithdrawEffect{ID: "e-2", Why: "nobody wants it"},
		},
		{fleet.RaiseFormat{Format: 2, Force: true}},
		{
			fleet.PutTargetGroup{Name: "blue", Protocol: fleet.GroupHTTP2, DeregistrationDelayS: 30, SlowStartS: 30,
				Check: check, Owner: "shop"},
			fleet.PutTargetGroup{Name: "green", Protocol: fleet.GroupHTTP2, Check: check, StickyS: 60, AnyZone: true},
			fleet.PutTargetGroup{Name: "spare", Protocol: fleet.GroupTCP, Check: check, ProxyProtocol: true},
			fleet.PutListener{
				Name: "shop", Port: 443, Protocol: fleet.ListenHTTPS, IdleTimeoutS: 30, BodyLimit: 1 << 20, ProxyProtocol: true,
				Certificates: []fleet.CertificateFile{{Certificate: "/etc/tls/chain.pem", Key: "/etc/tls/key.pem"}},
				Default:      &fleet.Action{Fixed: &fleet.FixedResponse{Status: 404, ContentType: "text/plain", Body: "no\n"}},
			},
			fleet.PutListener{Name: "plain", Port: 80, Protocol: fleet.ListenHTTP,
				Default: &fleet.Action{Redirect: &fleet.Redirect{Status: 301, Protocol: "HTTPS", Port: 443}}},
			fleet.PutRule{
				ID: "shop/api", Priority: 10, TimeoutS: 5, Action: fleet.Action{Forward: &fleet.Forward{
					Groups: []fleet.GroupWeight{{Group: "blue", Weight: 10_000}, {Group: "green"}}, StickyS: 60,
				}},
				Conditions: []fleet.RuleCondition{
					{Field: fleet.FieldHost, Values: []string{"*.example"}},
					{Field: fleet.FieldHeader, Name: "X-A", Values: []string{"1"}},
				},
			},
			fleet.PutRule{ID: "plain/x", Priority: 1, Action: fleet.Action{Fixed: &fleet.FixedResponse{Status: 200}},
				Conditions: []fleet.RuleCondition{{Field: fleet.FieldSource, Values: []string{"10.0.0.0/8"}}}},
		},
		{fleet.PutService{
			Name: "shop", TaskDef: "web:1", Desired: 1, MinPercent: 100, MaxPercent: 200, LoadBalancers: []fleet.LoadBalancer{{
				Container: "app", ContainerPort: 80, Group: "blue", AlternateGroup: "green", ProductionRule: "shop/api",
			}},
		}},
		{
			fleet.PutGoals{Service: "shop", ServiceModifyIndex: 15, Max: 2,
				Revisions: []fleet.RevisionGoal{{Revision: "shop/1", Desired: 1, Max: 2}}},
			fleet.CreateTasks{Revision: "shop/1", Tasks: []fleet.TaskID{three}},
			fleet.AssignTasks{Host: "h-1", Tasks: []fleet.TaskID{three}, Ports: [][]fleet.PortBinding{{{
				Container: "app", ContainerPort: 80, HostPort: 49154, Protocol: fleet.TCP,
			}}}},
		},
		{fleet.Report{Host: "h-1", Session: 1, Seq: 3, Tasks: []fleet.TaskReport{{
			Task: three, Status: fleet.TaskRunning, Attempt: 1,
			Targets: []fleet.TargetReport{{Group: "blue", State: fleet.TargetUnhealthy, Reason: "503"}},
		}}}},
		{
			fleet.SetWeights{Rule: "shop/api", ExpectedModifyIndex: 14,
				Weights: []fleet.GroupWeight{{Group: "blue", Weight: 9_500}, {Group: "green", Weight: 500}}},
			fleet.DeleteRule{ID: "plain/x"}, fleet.DeleteListener{Name: "plain"}, fleet.DeleteTargetGroup{Name: "spare"},
		},
		{fleet.Report{Host: "h-1", Session: 1, Seq: 4, Tasks: []fleet.TaskReport{{
			Task: three, Status: fleet.TaskRunning, Attempt: 1,
			Targets: []fleet.TargetReport{{Group: "blue", State: fleet.TargetHealthy}},
		}}}},
		{
			fleet.PutHookTarget{Target: "https://hooks.example/"}, fleet.PutHookTarget{Target: "task:web"},
			fleet.PutHookTarget{Target: "task:spare"}, fleet.DeleteHookTarget{Target: "task:spare"},
			fleet.PutAlarm{Name: "errors", URL: "https://hooks.example/prometheus", Query: "up", Above: true, Threshold: 0.25,
				IntervalS: 10, Times: 2},
			fleet.PutAlarm{Name: "spare", URL: "https://hooks.example/", Query: "up", IntervalS: 10, Times: 1},
			fleet.DeleteAlarm{Name: "spare"},
			fleet.PutService{
				Name: "shop", ExpectedModifyIndex: 15, TaskDef: "web:1", Desired: 1, MinPercent: 100, MaxPercent: 200, Force: true,
				LoadBalancers: []fleet.LoadBalancer{{
					Container: "app", ContainerPort: 80, Group: "blue", AlternateGroup: "green", ProductionRule: "shop/api",
				}},
				Deployment: fleet.DeploymentConfig{
					Strategy: fleet.Canary, CanaryShare: 500, StepBakeS: 60, BakeS: 300, ProgressS: 600,
					Hooks: []fleet.Hook{
						{Name: "ask", Stages: []fleet.LifecycleStage{fleet.StageReconcileService}, Details: []byte("{}"), TimeoutS: 60,
							ContinueOnTimeout: true,
							Webhook:           &fleet.WebhookTarget{URL: "https://hooks.example/ask", SecretFile: "/etc/skein/hook"}},
						{Name: "smoke", Stages: []fleet.LifecycleStage{fleet.PointRollbackEnded},
							Task: &fleet.TaskHookTarget{TaskDef: "web:1"}},
						{Name: "look", Stages: []fleet.LifecycleStage{fleet.StageReconcileService}, Pause: true},
					},
					Alarms: fleet.Alarms{Names: []string{"errors"}, Rollback: true},
					Analysis: &fleet.Analysis{WindowS: 10, MinRequests: 20, ErrorShare: 100, LatencyMs: 500, Quantile: 95,
						Ratio: 200},
				},
			},
		},
		{
			fleet.AdvanceDeployment{ID: "shop.2", ExpectedModifyIndex: 20, Stage: fleet.StageReconcileService},
			fleet.BeginHook{ID: "shop.2", ExpectedModifyIndex: 21, Run: "shop.2-1", Hook: "look",
				Stage: fleet.StageReconcileService},
			fleet.BeginHook{
				ID: "shop.2", ExpectedModifyIndex: 21, Run: "shop.2-2", Hook: "ask", Stage: fleet.StageReconcileService,
				Effect: &fleet.IntendEffect{ID: "e-3", EffectKind: "webhook", Role: fleet.VoterRole(),
					Subject: fleet.ServiceSubject("shop"), Deadline: 1_700_000_600_000, TimeoutMs: 10_000, MaxAttempts: 2},
			},
			fleet.FinishHook{ID: "shop.2", ExpectedModifyIndex: 21, Run: "shop.2-2", Status: fleet.HookSucceeded,
				Details: []byte("{}"), Answer: "well"},
			fleet.AskAlarm{
				ID: "shop.2", ExpectedModifyIndex: 21, Alarm: "errors",
				Effect: fleet.IntendEffect{ID: "e-4", EffectKind: "query", Role: fleet.VoterRole(),
					Subject: fleet.ServiceSubject("shop"), Deadline: 1_700_000_600_000, TimeoutMs: 10_000, MaxAttempts: 2},
			},
			fleet.NoteDeployment{ID: "shop.2", ExpectedModifyIndex: 21, Alarms: []fleet.AlarmState{
				{Name: "errors", Status: fleet.AlarmOK, Answer: "0.1"}}},
			fleet.OrderDeployment{ID: "shop.2", Order: fleet.OrderPause},
		},
		{
			fleet.RollBackDeployment{ID: "shop.2", ExpectedModifyIndex: 21, Reason: "corpus"},
			fleet.FinishDeployment{ID: "shop.2", ExpectedModifyIndex: 22, Status: fleet.DeploymentRolledBack},
		},
		{fleet.CordonHost{Host: "h-9"}}, // refused
		{fleet.DeleteToken{ID: "tok"}},
	}
	entries := make([]fleet.Entry, len(commands))
	for i, list := range commands {
		entries[i].At = fleet.Time(1_700_000_000_000 + 1000*i)
		for _, c := range list {
			entries[i].Items = append(entries[i].Items, fleet.Item{Command: c, By: "ada", Reason: "corpus"})
		}
	}
	entries[1].Items[0].Receipt = &fleet.Receipt{Token: "t1", BodyHash: make([]byte, 32)}
	return entries
}

// replay applies a log, kept as frames, and returns the snapshot of its State: all
// builds must come to the same.
func replay(log []byte) ([]byte, error) {
	s := fleet.New()
	for r := bytes.NewReader(log); r.Len() > 0; {
		var encoded []byte
		if err := wire.ReadFrame(r, &encoded); err != nil {
			return nil, err
		}
		entry, err := wire.DecodeEntry(encoded)
		if err != nil {
			return nil, err
		}
		s.Apply(s.Index()+1, entry)
	}
	return again(s)
}

func again(s *fleet.State) ([]byte, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err := wire.WriteState(&b, s)
	return b.Bytes(), err
}

func TestTheCorpusIsReadAsEver(t *testing.T) {
	var log bytes.Buffer
	s := fleet.New()
	for i, e := range history() {
		b, err := wire.EncodeEntry(e)
		if err != nil {
			t.Fatal(err)
		}
		if err := wire.WriteFrame(&log, b); err != nil {
			t.Fatal(err)
		}
		for n, result := range s.Apply(s.Index()+1, e).Results {
			if refused := i == len(history())-2; (result.Err != nil) != refused {
				t.Fatalf("entry %d, command %d: %v", i, n, result.Err)
			}
		}
	}
	snapshot, err := again(s)
	if err != nil {
		t.Fatal(err)
	}
	corpustest.Check(t, corpustest.Kind{Name: "log", Now: log.Bytes(), Read: replay})
	corpustest.Check(t, corpustest.Kind{Name: "snapshot", Now: snapshot, Read: func(b []byte) ([]byte, error) {
		s, err := wire.ReadState(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		return again(s)
	}})
}
