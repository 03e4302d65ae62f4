package api

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"skein/raftfsm/fleet"
)

// bookkeeping are the fields of a service that no request sets.
var bookkeeping = []string{"ModifyIndex", "Status", "LastRevision", "Failures", "NotBefore", "LastFailure", "CreatedAt",
	"UpdatedAt", "LastDeployment", "Good"}

// changed names the fields, bookkeeping aside, in which two services differ.
func changed(a, b fleet.Service) (fields []string) {
	for i := range reflect.TypeFor[fleet.Service]().NumField() {
		name := reflect.TypeFor[fleet.Service]().Field(i).Name
		if !slices.Contains(bookkeeping, name) && !reflect.DeepEqual(reflect.ValueOf(a).Field(i).Interface(),
			reflect.ValueOf(b).Field(i).Interface()) {
			fields = append(fields, name)
		}
	}
	return fields
}

// A change of one field keeps all others. Who adds a field to Service must let
// the API set it, and keep it, or say that it is bookkeeping.
func TestAnUpdateOfOneFieldKeepsAllOthers(t *testing.T) {
	full := `{"serviceName": "web", "taskDefinition": "web:1", "desiredCount": 7, "healthCheckGracePeriodSeconds": 33,
		"deploymentConfiguration": {"minimumHealthyPercent": 51, "maximumPercent": 177},
		"onDisconnect": {"stopAfterSeconds": 44}, "tags": [{"key": "team", "value": "shop"}],
		"loadBalancers": [{"targetGroupArn": "web", "containerName": "app", "containerPort": 8080}]}`
	tests := []struct {
		method, target, body string
		changes              []string
	}{
		{"PATCH", "/v1/services/web", `{}`, nil},
		{"PATCH", "/v1/services/web", `{"desiredCount": 0}`, []string{"Desired"}},
		{"POST", "/v1/services/web/scale", `{"desiredCount": 0}`, []string{"Desired"}},
		{"PATCH", "/v1/services/web", `{"deploymentConfiguration": {"minimumHealthyPercent": 0}}`, []string{"MinPercent"}},
		{"PATCH", "/v1/services/web", `{"deploymentConfiguration": {"maximumPercent": 100}}`, []string{"MaxPercent"}},
		{"PATCH", "/v1/services/web", `{"deploymentConfiguration": {"bakeTimeInMinutes": 7}}`, []string{"Deployment"}},
		{"PATCH", "/v1/services/web", `{"healthCheckGracePeriodSeconds": 0}`, []string{"GraceS"}},
		{"PATCH", "/v1/services/web", `{"onDisconnect": {"stopAfterSeconds": 0}}`, []string{"OnDisconnect"}},
		{"PATCH", "/v1/services/web", `{"tags": []}`, []string{"Tags"}},
		{"PATCH", "/v1/services/web", `{"loadBalancers": []}`, []string{"Revision", "LoadBalancers"}},
		{"PATCH", "/v1/services/web", `{"taskDefinition": "web:2"}`, []string{"Revision"}},
		{"PATCH", "/v1/services/web", `{"forceNewDeployment": true}`, []string{"Revision"}},
	}
	covered := []string{"Name"}
	for _, tt := range tests {
		covered = append(covered, tt.changes...)
		t.Run(tt.method+" "+tt.body, func(t *testing.T) {
			x := newTestAPI(t, nil)
			fleetOf(t, x.voter, 3)
			root := x.Handler(TrustRoot)
			want(t, 201, root, "POST", "/v1/taskdefs", webDef)
			want(t, 201, root, "POST", "/v1/taskdefs", webDef)
			want(t, 201, root, "POST", "/v1/target-groups", webGroup)
			want(t, 201, root, "POST", "/v1/services", full)
			before := *x.voter.State().Service("web")
			for i := range reflect.TypeFor[fleet.Service]().NumField() {
				name := reflect.TypeFor[fleet.Service]().Field(i).Name
				if !slices.Contains(bookkeeping, name) && reflect.ValueOf(before).Field(i).IsZero() {
					t.Fatalf("%s is not set by the request: add it, or call it bookkeeping", name)
				}
			}
			want(t, 200, root, tt.method, tt.target, tt.body)
			if got := changed(before, *x.voter.State().Service("web")); !slices.Equal(got, tt.changes) {
				t.Errorf("changed %v, want %v", got, tt.changes)
			}
		})
	}
	for i := range reflect.TypeFor[fleet.Service]().NumField() {
		if name := reflect.TypeFor[fleet.Service]().Field(i).Name; !slices.Contains(bookkeeping, name) &&
			!slices.Contains(covered, name) {
			t.Errorf("no update changes %s", name)
		}
	}
}

func TestAChangeThatExpectsAnotherStandIsRefused(t *testing.T) {
	changes := []struct{ method, target, body string }{
		{"PATCH", "/v1/services/web", `{"desiredCount": 2}`},
		{"PATCH", "/v1/services/web", `{"forceNewDeployment": true}`},
		{"POST", "/v1/services/web/scale", `{"desiredCount": 2}`},
		{"DELETE", "/v1/services/web?force=true", ""},
	}
	for _, c := range changes {
		t.Run(c.method+" "+c.target+" "+c.body, func(t *testing.T) {
			x := newTestAPI(t, nil)
			root := webFleet(t, x)
			seen := at(t, want(t, 200, root, "GET", "/v1/services/web", ""), "modifyIndex")
			x.voter.must(t, fleet.ScaleService{Name: "web", Desired: 9})
			sign := "?"
			if c.method == "DELETE" {
				sign = "&"
			}
			got := want(t, 409, root, c.method, c.target+sign+fmt.Sprint("expect=", seen), c.body)
			if at(t, got, "error", "code") != "moved" || x.voter.State().Service("web").Desired != 9 {
				t.Errorf("got %v", got)
			}
			want(t, 200, root, c.method, c.target+sign+fmt.Sprint("expect=", x.voter.State().Service("web").ModifyIndex), c.body)
		})
	}
}
