package deployment

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"skein/raftfsm/fleet"
)

func TestAnswersOfHooksAreJudged(t *testing.T) {
	deep := `{"hookStatus":"SUCCEEDED","hookDetails":` + strings.Repeat(`{"a":`, 70) + "1" + strings.Repeat("}", 71)
	for _, c := range []struct {
		name, body string
		status     fleet.HookStatus
		callBack   int
		details    string
		answer     string // part of it
	}{
		{"it succeeded", `{"hookStatus":"SUCCEEDED"}`, fleet.HookSucceeded, 0, "", "SUCCEEDED"},
		{"it failed", `{"hookStatus":"FAILED"}`, fleet.HookFailed, 0, "", "FAILED"},
		{"it goes on", `{"hookStatus":"IN_PROGRESS"}`, fleet.HookInProgress, 30, "", ""},
		{"it goes on and says when to ask", `{"hookStatus":"IN_PROGRESS","callBackDelay":5}`,
			fleet.HookInProgress, 5, "", ""},
		{"half a second is a second", `{"hookStatus":"IN_PROGRESS","callBackDelay":0.5}`,
			fleet.HookInProgress, 1, "", ""},
		{"a week is an hour", `{"hookStatus":"IN_PROGRESS","callBackDelay":604800}`,
			fleet.HookInProgress, 3600, "", ""},
		{"the delay is below zero", `{"hookStatus":"IN_PROGRESS","callBackDelay":-1}`, fleet.HookFailed, 0, "",
			"callBackDelay"},
		{"the delay is a text", `{"hookStatus":"IN_PROGRESS","callBackDelay":"5"}`, fleet.HookFailed, 0, "",
			"callBackDelay"},
		{"the delay is beyond any number", `{"hookStatus":"IN_PROGRESS","callBackDelay":1e999}`, fleet.HookFailed, 0, "",
			"callBackDelay"},
		{"details are handed on", `{"hookStatus":"SUCCEEDED","hookDetails":{"run":7}}`, fleet.HookSucceeded, 0, `{"run":7}`,
			"run"},
		{"details are a list", `{"hookStatus":"SUCCEEDED","hookDetails":[1]}`, fleet.HookFailed, 0, "", "hookDetails"},
		{"details are too long", `{"hookStatus":"SUCCEEDED","hookDetails":{"a":"` + strings.Repeat("x", MaxDetails) + `"}}`,
			fleet.HookFailed, 0, "", "at most 1024"},
		{"details are too deep", deep, fleet.HookFailed, 0, "", "no JSON object"},
		{"it is empty", ``, fleet.HookFailed, 0, "", "no JSON object"},
		{"it is no JSON", `<html>ok</html>`, fleet.HookFailed, 0, "", "<html>"},
		{"it is null", `null`, fleet.HookFailed, 0, "", "no JSON object"},
		{"it is a list", `["SUCCEEDED"]`, fleet.HookFailed, 0, "", "no JSON object"},
		{"it says two things", `{"hookStatus":"FAILED","hookStatus":"SUCCEEDED"}`, fleet.HookFailed, 0, "", "no JSON object"},
		{"it answers twice", `{"hookStatus":"SUCCEEDED"}{"hookStatus":"FAILED"}`, fleet.HookFailed, 0, "", "no JSON object"},
		{"it has no status", `{"status":"SUCCEEDED"}`, fleet.HookFailed, 0, "", "no hookStatus"},
		{"its status is a number", `{"hookStatus":1}`, fleet.HookFailed, 0, "", "no text"},
		{"its status is in other letters", `{"hookStatus":"succeeded"}`, fleet.HookFailed, 0, "", "neither"},
		{"its field is in other letters", `{"HookStatus":"SUCCEEDED"}`, fleet.HookFailed, 0, "", "no hookStatus"},
		{"it is too long", `{"hookStatus":"SUCCEEDED","x":"` + strings.Repeat("x", MaxAnswer) + `"}`, fleet.HookFailed, 0, "",
			"more than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := ParseAnswer([]byte(c.body))
			if v.Status != c.status || v.CallBackS != c.callBack || string(v.Details) != c.details ||
				!strings.Contains(v.Answer, c.answer) {
				t.Errorf("%s in %d s, details %s: %s", v.Status, v.CallBackS, v.Details, v.Answer)
			}
			if out, err := v.Encode(); err != nil || len(out) > fleet.MaxEffectOutcome {
				t.Errorf("outcome of %d bytes: %v", len(out), err)
			} else if again := ReadVerdict(out); again.Status != v.Status || string(again.Details) != string(v.Details) {
				t.Errorf("%+v is read as %+v", v, again)
			}
		})
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"hookStatus":"IN_PROGRESS","callBackDelay":5,"hookDetails":{"a":[1,{}]}}`))
	f.Add([]byte(`{"hookStatus":"SUCCEEDED","hookDetails":null}`))
	f.Add([]byte("\xff"))
	f.Fuzz(func(t *testing.T, body []byte) {
		v := ParseAnswer(body)
		if v.Status != fleet.HookSucceeded && v.Status != fleet.HookFailed && v.Status != fleet.HookInProgress {
			t.Fatalf("status %s", v.Status)
		}
		said := strings.Contains(string(body), "SUCCEEDED") || strings.Contains(string(body), `\`)
		if v.Status == fleet.HookSucceeded && !said {
			t.Fatalf("%q succeeded", body)
		}
		if (v.CallBackS > 0) != (v.Status == fleet.HookInProgress) || v.CallBackS > maxCallBackS {
			t.Fatalf("%s, call back in %d s", v.Status, v.CallBackS)
		}
		if len(v.Details) > 0 {
			if merged, err := MergeDetails([]byte(`{}`), v.Details); err != nil || len(merged) > MaxDetails {
				t.Fatalf("details %q: %v", v.Details, err)
			}
		}
		if out, err := v.Encode(); err != nil || len(out) > fleet.MaxEffectOutcome {
			t.Fatalf("outcome of %d bytes: %v", len(out), err)
		}
	})
}

func FuzzOutcome(f *testing.F) {
	for _, v := range []Verdict{
		{Status: fleet.HookSucceeded}, Failure("no"), {Status: fleet.HookInProgress, CallBackS: 9},
	} {
		out, err := v.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(out)
	}
	f.Fuzz(func(t *testing.T, outcome []byte) {
		if v := ReadVerdict(outcome); v.Status < fleet.HookInProgress || v.Status == fleet.HookAwaitingAction {
			t.Fatalf("status %s", v.Status)
		}
		ReadProbed(outcome)
		ReadTail(outcome)
		alarm := &fleet.Alarm{Above: true}
		if n := ReadNumbers(outcome); n.Count == 0 {
			if status, _ := n.Judge(alarm); status != fleet.AlarmInsufficientData {
				t.Fatalf("no number, and %s", status)
			}
		}
	})
}

func FuzzNumbers(f *testing.F) {
	f.Add([]byte(`{"status":"success","data":{"resultType":"scalar","result":[1,"0.5"]}}`))
	f.Add([]byte(`{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"NaN"]}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		n := ParseNumbers(body)
		if (n.Count == 0) != (n.Why != "") || n.Least > n.Most {
			t.Fatalf("%+v", n)
		}
		if out, err := n.Encode(); err != nil || len(out) > fleet.MaxEffectOutcome {
			t.Fatalf("outcome of %d bytes: %v", len(out), err)
		}
	})
}

func TestPayloadIsECS(t *testing.T) {
	d := &fleet.Deployment{ID: "web.4", Service: "web", Target: "web.7", Blue: "web.6", Test: 10_000, Production: 250}
	at := func(stage fleet.LifecycleStage, details string) string {
		body, err := json.Marshal(NewPayload(d, &fleet.HookRun{ID: "web.4-1", Stage: stage, Step: 1}, []byte(details)))
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	for _, c := range []struct {
		name string
		got  string
		want string
	}{
		{"a test shift shows test weights", at(fleet.StageTestTrafficShift, ""),
			`{"executionId":"web.4-1","lifecycleStage":"TEST_TRAFFIC_SHIFT","resourceArn":"web.4","executionDetails":` +
				`{"serviceArn":"web","targetServiceRevisionArn":"web.7","testTrafficWeights":{"web.6":0,"web.7":100},` +
				`"productionTrafficWeights":{},"sourceServiceRevision":"web.6","step":1},"hookDetails":{}}`},
		{"a production shift shows production weights, to a tenth of a percent",
			at(fleet.StageProductionTrafficShift, `{"a":1}`),
			`{"executionId":"web.4-1","lifecycleStage":"PRODUCTION_TRAFFIC_SHIFT","resourceArn":"web.4","executionDetails":` +
				`{"serviceArn":"web","targetServiceRevisionArn":"web.7","testTrafficWeights":{},` +
				`"productionTrafficWeights":{"web.6":97.5,"web.7":2.5},"sourceServiceRevision":"web.6","step":1},` +
				`"hookDetails":{"a":1}}`},
		{"other stages show none", at(fleet.StagePostScaleUp, ""),
			`{"executionId":"web.4-1","lifecycleStage":"POST_SCALE_UP","resourceArn":"web.4","executionDetails":` +
				`{"serviceArn":"web","targetServiceRevisionArn":"web.7","testTrafficWeights":{},` +
				`"productionTrafficWeights":{},"sourceServiceRevision":"web.6","step":1},"hookDetails":{}}`},
	} {
		if c.got != c.want {
			t.Errorf("%s:\n%s\nwanted\n%s", c.name, c.got, c.want)
		}
	}
}

func TestTheLargestInputsFitIntoState(t *testing.T) {
	name := strings.Repeat("x", fleet.MaxName)
	d := &fleet.Deployment{
		ID: fleet.DeploymentID(name + ".99999"), Service: name, Target: fleet.RevisionID(name + ".99999"),
		Blue: fleet.RevisionID(name + ".99998"), Rollback: &fleet.Rollback{Reason: strings.Repeat("r", 1000)},
	}
	run := &fleet.HookRun{ID: name + ".99999-999", Stage: fleet.StagePreProductionTrafficShift, Step: 99}
	details := []byte(`{"a":"` + strings.Repeat("d", MaxDetails-8) + `"}`)
	if err := CheckDetails(details); err != nil {
		t.Fatal(err)
	}
	url := "http://" + strings.Repeat("u", MaxURL-7)
	in, err := WebhookInput(d, run, fleet.WebhookTarget{URL: url, SecretFile: strings.Repeat("f", 255)}, details)
	if err != nil || len(in) > fleet.MaxEffectInput {
		t.Errorf("webhook: %d bytes: %v", len(in), err)
	}
	w, err := ReadWebhook(in)
	if err != nil || w.URL != url || !json.Valid(w.Body) {
		t.Errorf("webhook is read as %+v: %v", w, err)
	}
	in, err = QueryInput(&fleet.Alarm{URL: url, Query: strings.Repeat("q", MaxQuery)})
	if err != nil || len(in) > fleet.MaxEffectInput {
		t.Errorf("query: %d bytes: %v", len(in), err)
	}
}

func TestDetailsAreMerged(t *testing.T) {
	long := strings.Repeat("x", MaxDetails/2)
	for _, c := range []struct{ name, had, given, want, refused string }{
		{"nothing to nothing", ``, ``, ``, ""},
		{"nothing is added", `{"a":1}`, ``, `{"a":1}`, ""},
		{"the first", ``, `{"a":1}`, `{"a":1}`, ""},
		{"one takes a place, one goes, one stays", `{"a":1,"b":2,"c":3}`, `{"a":[4],"b":null}`, `{"a":[4],"c":3}`, ""},
		{"both are too long", `{"a":"` + long + `"}`, `{"b":"` + long + `"}`, ``, "at most 1024"},
		{"given is no object", `{}`, `[]`, ``, "no JSON object"},
	} {
		got, err := MergeDetails([]byte(c.had), []byte(c.given))
		if string(got) != c.want || (err == nil) != (c.refused == "") ||
			err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s: %s, %v", c.name, got, err)
		}
	}
}

func TestSignature(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	secret, body := []byte("secret"), []byte(`{"a":1}`)
	timestamp, signature := Sign(secret, now, body)
	// openssl dgst -sha256 -hmac secret, of "1800000000." and the body
	if signature != "v1=440dfbb83aabca24d9e5027629cfd81cb45254690f8d410bb28f1cc17c990dbc" {
		t.Errorf("signature %s", signature)
	}
	for _, c := range []struct {
		name                       string
		secret                     string
		timestamp, signature, body string
		late                       time.Duration
		fits                       bool
	}{
		{"as it was signed", "secret", timestamp, signature, `{"a":1}`, 0, true},
		{"within the tolerance", "secret", timestamp, signature, `{"a":1}`, time.Minute, true},
		{"too late", "secret", timestamp, signature, `{"a":1}`, time.Minute + time.Second, false},
		{"from the future", "secret", timestamp, signature, `{"a":1}`, -2 * time.Minute, false},
		{"another body", "secret", timestamp, signature, `{"a":2}`, 0, false},
		{"another secret", "Secret", timestamp, signature, `{"a":1}`, 0, false},
		{"another time", "secret", "1800000001", signature, `{"a":1}`, 0, false},
		{"no signature", "secret", timestamp, "", `{"a":1}`, 0, false},
		{"no version", "secret", timestamp, strings.TrimPrefix(signature, "v1="), `{"a":1}`, 0, false},
	} {
		err := Verify([]byte(c.secret), c.timestamp, c.signature, []byte(c.body), now.Add(c.late), time.Minute)
		if (err == nil) != c.fits {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestAnswersOfPrometheusAreJudged(t *testing.T) {
	vector := func(values ...string) string {
		out := make([]string, len(values))
		for i, v := range values {
			out[i] = `{"metric":{},"value":[1.5,"` + v + `"]}`
		}
		return `{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(out, ",") + `]}}`
	}
	above := &fleet.Alarm{Above: true, Threshold: 0.05}
	below := &fleet.Alarm{Threshold: 0.99}
	for _, c := range []struct {
		name, body string
		alarm      *fleet.Alarm
		want       fleet.AlarmStatus
		answer     string
	}{
		{"a number above", vector("0.31"), above, fleet.AlarmFires, "0.31 > 0.05"},
		{"a number at the threshold", vector("0.05"), above, fleet.AlarmOK, "0.05 not > 0.05"},
		{"a scalar", `{"status":"success","data":{"resultType":"scalar","result":[1,"0.5"]}}`, above,
			fleet.AlarmFires, "0.5"},
		{"the largest of several", vector("0", "0.06", "0.01"), above, fleet.AlarmFires, "0.06"},
		{"the least of several", vector("1", "0.5"), below, fleet.AlarmFires, "0.5 < 0.99"},
		{"none is below", vector("1", "0.99"), below, fleet.AlarmOK, "0.99 not < 0.99"},
		{"infinity", vector("+Inf"), above, fleet.AlarmFires, "+Inf > 0.05"},
		{"no series", vector(), above, fleet.AlarmInsufficientData, "no number"},
		{"no number in it", vector("NaN"), above, fleet.AlarmInsufficientData, "no number"},
		{"a number beside none", vector("NaN", "1"), above, fleet.AlarmFires, "1 >"},
		{"an error", `{"status":"error","error":"parse error"}`, above, fleet.AlarmInsufficientData, "parse error"},
		{"a matrix", `{"status":"success","data":{"resultType":"matrix","result":[]}}`, above, fleet.AlarmInsufficientData,
			"matrix"},
		{"no JSON", `<html>`, above, fleet.AlarmInsufficientData, "cannot be read"},
		{"another JSON", `[]`, above, fleet.AlarmInsufficientData, "no JSON of Prometheus"},
		{"values of other types", `{"status":"success","data":{"resultType":"vector","result":[{"value":[1,2]}]}}`, above,
			fleet.AlarmInsufficientData, "no number"},
	} {
		out, err := ParseNumbers([]byte(c.body)).Encode()
		if err != nil {
			t.Fatal(err)
		}
		status, answer := ReadNumbers(out).Judge(c.alarm)
		if status != c.want || !strings.Contains(answer, c.answer) {
			t.Errorf("%s: %s, %s", c.name, status, answer)
		}
	}
}

func TestAProbeFulfilsTheTestRule(t *testing.T) {
	http := &fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP}
	probe := &fleet.Probe{Path: "/health", Count: 3}
	rule := func(conditions ...fleet.RuleCondition) *fleet.Rule {
		return &fleet.Rule{ID: "web/test", Conditions: conditions}
	}
	read := func(l *fleet.Listener, r *fleet.Rule) (Probe, error) {
		in, err := ProbeInput(probe, l, r)
		if err != nil {
			return Probe{}, err
		}
		return ReadProbe(in)
	}
	p, err := read(http, rule(
		fleet.RuleCondition{Field: fleet.FieldHeader, Name: "x-test", Values: []string{"blue?green*"}},
		fleet.RuleCondition{Field: fleet.FieldHost, Values: []string{"*.shop.example"}},
		fleet.RuleCondition{Field: fleet.FieldQuery, Name: "v", Values: []string{"a b"}},
		fleet.RuleCondition{Field: fleet.FieldMethod, Values: []string{"POST"}},
	))
	want := Probe{Port: 80, Host: "x.shop.example", Target: "/health?v=a+b", Count: 3, LatencyMs: 10_000, Method: "POST",
		Headers: []Header{{"X-Test", "bluexgreenx"}}}
	if err != nil || !reflect.DeepEqual(p, want) {
		t.Errorf("%+v, %v, wanted %+v", p, err, want)
	}
	aliased := &fleet.Listener{Name: "b", Port: 80, Protocol: fleet.ListenHTTP,
		Alias: &fleet.ListenerAlias{Name: "b", Number: 7}}
	if p, err = read(aliased, rule()); err != nil || p.Alias != 7 || p.Port != 80 {
		t.Errorf("of an alias: %+v, %v", p, err)
	}
	proxied := &fleet.Listener{Name: "p", Port: 80, Protocol: fleet.ListenHTTP, ProxyProtocol: true}
	if p, err = read(proxied, rule()); err != nil || !p.Proxy {
		t.Errorf("of a listener with PROXY headers: %+v, %v", p, err)
	}
	source := fleet.RuleCondition{Field: fleet.FieldSource, Values: []string{"10.0.0.0/8"}}
	if _, err := read(http, rule(source)); err == nil {
		t.Error("a probe chose its source")
	}
	if _, err := read(&fleet.Listener{Name: "db", Protocol: fleet.ListenTCP}, rule()); err == nil {
		t.Error("a probe through TCP")
	}
}

func TestProbesAreJudged(t *testing.T) {
	lenient, strict := Probe{LatencyMs: 100}, Probe{Status: 204, Contains: "ok", LatencyMs: 100}
	for _, c := range []struct {
		name   string
		probe  Probe
		status int
		body   string
		took   int
		wrong  string
	}{
		{"all is well", lenient, 200, "", 100, ""},
		{"a redirect is well", lenient, 302, "", 1, ""},
		{"an error", lenient, 500, "", 1, "status 500"},
		{"the status asked for", strict, 204, "is ok", 1, ""},
		{"another status", strict, 200, "ok", 1, "204 is needed"},
		{"the body lacks the text", strict, 204, "no\x1b[31m", 1, "does not contain"},
		{"too slow", lenient, 200, "", 101, "101 ms"},
	} {
		wrong := c.probe.Judge(c.status, c.body, c.took)
		if (wrong == "") != (c.wrong == "") || !strings.Contains(wrong, c.wrong) {
			t.Errorf("%s: %q", c.name, wrong)
		}
	}
	for _, c := range []struct {
		probed Probed
		want   fleet.HookStatus
	}{
		{Probed{Sent: 5, Well: 5}, fleet.HookSucceeded},
		{Probed{Sent: 5, Well: 4, Why: "status 500"}, fleet.HookFailed},
		{Probed{}, fleet.HookFailed},
	} {
		out, err := c.probed.Encode()
		if err != nil {
			t.Fatal(err)
		}
		v := ReadProbed(out)
		if v.Status != c.want || c.want == fleet.HookFailed && !strings.Contains(v.Answer, c.probed.Why) {
			t.Errorf("%+v: %+v", c.probed, v)
		}
	}
}

func TestTheTailOfALogIsBounded(t *testing.T) {
	many := make([]string, 100)
	for i := range many {
		many[i] = strings.Repeat("é", i)
	}
	for _, c := range []struct {
		name  string
		lines []string
		want  string // its end
	}{
		{"nothing", nil, ""},
		{"some lines", []string{"first", "se\x1bcond"}, "first | se cond"},
		{"many lines", many, many[99]},
		{"one endless line", []string{strings.Repeat("x", 1<<20)}, strings.Repeat("x", MaxTail)},
	} {
		out, err := EncodeTail(c.lines)
		if err != nil || len(out) > fleet.MaxEffectOutcome {
			t.Fatalf("%s: %d bytes: %v", c.name, len(out), err)
		}
		if got := ReadTail(out); !strings.HasSuffix(got, c.want) || len(got) > MaxTail+100 {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestTheLastLineOfATaskHandsDetailsOn(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"an answer as of a webhook", []string{"ran 12 checks", `{"hookStatus":"SUCCEEDED","hookDetails":{"run":7}}`},
			`{"run":7}`},
		{"an answer that is not the last line", []string{`{"hookDetails":{"run":7}}`, "done"}, ""},
		{"another object", []string{`{"level":"info","msg":"done"}`}, ""},
		{"details that are no object", []string{`{"hookDetails":[1]}`}, ""},
		{"words", []string{"all is well"}, ""},
		{"nothing", nil, ""},
	} {
		out, err := EncodeTail(c.lines)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(TailDetails(out)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if got := TailDetails([]byte("\xff")); got != nil {
		t.Errorf("of what cannot be read: %s", got)
	}
}

// A task is told what a webhook is, and the longest that it can be told fits.
func TestATaskIsRunWithThePayload(t *testing.T) {
	long := strings.Repeat("\"", 255)
	d := &fleet.Deployment{ID: fleet.DeploymentID(long + ".1"), Service: long, Target: fleet.RevisionID(long + "/2"),
		Blue: fleet.RevisionID(long + "/1"), Test: 2500, Rollback: &fleet.Rollback{Reason: strings.Repeat("<", 1000)}}
	run := &fleet.HookRun{ID: long + ".1-1", Stage: fleet.StageTestTrafficShift}
	details := []byte(`{"a":"` + strings.Repeat("x", MaxDetails-8) + `"}`)
	payload := NewPayload(d, run, details)
	o, err := payload.Overrides()
	if err != nil {
		t.Fatal(err)
	}
	size, env := 0, map[string]string{}
	for _, v := range o.Environment {
		size += len(v.Name) + len(v.Value)
		env[v.Name] = v.Value
	}
	if size > fleet.MaxOverrides {
		t.Errorf("%d bytes, at most %d are allowed", size, fleet.MaxOverrides)
	}
	var got Payload
	if err := json.Unmarshal([]byte(env[EnvPayload]), &got); err != nil || !reflect.DeepEqual(got, payload) {
		t.Errorf("payload %+v, want %+v (%v)", got, payload, err)
	}
	if env[EnvStage] != "TEST_TRAFFIC_SHIFT" || env[EnvDetails] != string(details) || env[EnvTarget] != string(d.Target) ||
		env[EnvExecutionID] != run.ID || env[EnvDeployment] != string(d.ID) || env[EnvService] != long {
		t.Errorf("environment %v", env)
	}
}
