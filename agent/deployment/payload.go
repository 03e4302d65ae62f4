package deployment

import (
	"encoding/json"
	"errors"
	"fmt"

	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/text"
)

// Payload is what a hook is called with: ECS's fields, and behind them Skein's own.
// Source: ECS guide, lifecycle hooks for service deployments.
type Payload struct {
	ExecutionID      string           `json:"executionId"` // the same in every call of one run
	LifecycleStage   string           `json:"lifecycleStage"`
	ResourceARN      string           `json:"resourceArn"` // id of the deployment
	ExecutionDetails ExecutionDetails `json:"executionDetails"`
	HookDetails      json.RawMessage  `json:"hookDetails"` // an object
}

// ExecutionDetails say where a deployment stands. The weights are percent by revision;
// they are filled in at the stages that shift that traffic, as ECS does.
type ExecutionDetails struct {
	ServiceARN               string             `json:"serviceArn"` // name of the service
	TargetServiceRevisionARN string             `json:"targetServiceRevisionArn"`
	TestTrafficWeights       map[string]float64 `json:"testTrafficWeights"`
	ProductionTrafficWeights map[string]float64 `json:"productionTrafficWeights"`
	// Skein's own.
	SourceServiceRevision string `json:"sourceServiceRevision,omitempty"` // blue
	Step                  int    `json:"step,omitempty"`                  // of the shifts, from 1
	RollbackReason        string `json:"rollbackReason,omitempty"`        // set while the deployment rolls back
}

// NewPayload is the payload of a run of a hook, with the details that the hook is given.
// The weights are those that the deployment has now.
func NewPayload(d *fleet.Deployment, run *fleet.HookRun, details []byte) Payload {
	p := Payload{
		ExecutionID: run.ID, LifecycleStage: run.Stage.String(), ResourceARN: string(d.ID),
		HookDetails: json.RawMessage("{}"),
		ExecutionDetails: ExecutionDetails{
			ServiceARN: d.Service, TargetServiceRevisionARN: string(d.Target), SourceServiceRevision: string(d.Blue),
			Step: run.Step, TestTrafficWeights: map[string]float64{}, ProductionTrafficWeights: map[string]float64{},
		},
	}
	if len(details) > 0 {
		p.HookDetails = details
	}
	if d.Rollback != nil {
		p.ExecutionDetails.RollbackReason = text.Cut(d.Rollback.Reason, maxReason)
	}
	switch run.Stage {
	case fleet.StageTestTrafficShift:
		weigh(p.ExecutionDetails.TestTrafficWeights, d, d.Test)
	case fleet.StagePreProductionTrafficShift, fleet.StageProductionTrafficShift:
		weigh(p.ExecutionDetails.ProductionTrafficWeights, d, d.Production)
	default:
	}
	return p
}

// The variables that the containers of a hook's task have, beside those of every task.
// Payload has all; the others are parts of it, for shells.
const (
	EnvPayload     = "SKEIN_HOOK_PAYLOAD"         // JSON
	EnvExecutionID = "SKEIN_HOOK_EXECUTION_ID"    // executionId
	EnvStage       = "SKEIN_HOOK_LIFECYCLE_STAGE" // lifecycleStage
	EnvDeployment  = "SKEIN_HOOK_DEPLOYMENT"      // resourceArn
	EnvService     = "SKEIN_HOOK_SERVICE"         // executionDetails.serviceArn
	EnvTarget      = "SKEIN_HOOK_TARGET_REVISION" // executionDetails.targetServiceRevisionArn
	EnvDetails     = "SKEIN_HOOK_DETAILS"         // hookDetails, JSON
)

// Overrides are what a hook's task is run with. Payloads are bounded by MaxDetails and the
// lengths of names, well below what a task may be run with.
func (p *Payload) Overrides() (*fleet.TaskOverrides, error) {
	payload, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	return &fleet.TaskOverrides{Environment: []fleet.EnvVar{
		{Name: EnvPayload, Value: string(payload)},
		{Name: EnvExecutionID, Value: p.ExecutionID},
		{Name: EnvStage, Value: p.LifecycleStage},
		{Name: EnvDeployment, Value: p.ResourceARN},
		{Name: EnvService, Value: p.ExecutionDetails.ServiceARN},
		{Name: EnvTarget, Value: p.ExecutionDetails.TargetServiceRevisionARN},
		{Name: EnvDetails, Value: string(p.HookDetails)},
	}}, nil
}

func weigh(weights map[string]float64, d *fleet.Deployment, share int) {
	weights[string(d.Target)] = percent(share)
	if d.Blue != "" {
		weights[string(d.Blue)] = percent(fleet.TotalWeight - share)
	}
}

func percent(basisPoints int) float64 { return float64(basisPoints) / 100 }

// CheckDetails refuses details of a hook that are no JSON object within the bounds.
func CheckDetails(details []byte) error {
	if len(details) > MaxDetails {
		return fmt.Errorf("%d bytes of JSON, at most %d are allowed", len(details), MaxDetails)
	}
	if _, err := object(details); err != nil {
		return err
	}
	return nil
}

// MergeDetails lays what a hook gave back over the details it had. A name that it gave
// takes the place of the same name; one that it gave as null goes.
func MergeDetails(had, given []byte) ([]byte, error) {
	if len(given) == 0 {
		return had, nil
	}
	merged := map[string]json.RawMessage{}
	if len(had) > 0 {
		var err error
		if merged, err = object(had); err != nil {
			return nil, err
		}
	}
	more, err := object(given)
	if err != nil {
		return nil, err
	}
	for name, value := range more {
		if string(value) == "null" {
			delete(merged, name)
		} else {
			merged[name] = value
		}
	}
	out, err := json.Marshal(merged)
	if err != nil {
		return nil, fmt.Errorf("details: %w", err)
	}
	if len(out) > MaxDetails {
		return nil, fmt.Errorf("details of %d bytes with what was there before, at most %d are kept", len(out), MaxDetails)
	}
	return out, nil
}

// object reads one JSON object and nothing behind it. A name given twice says two
// things, and is refused.
func object(data []byte) (map[string]json.RawMessage, error) {
	if _, err := strictjson.Parse(data, MaxAnswer); err != nil {
		return nil, fmt.Errorf("no JSON object: %w", err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil || fields == nil {
		return nil, errors.New("no JSON object")
	}
	return fields, nil
}
