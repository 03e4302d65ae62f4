package types

// Written is part of the answer to every write.
type Written struct {
	Index       uint64    `json:"index" doc:"log index at which it was committed"`
	ClientToken string    `json:"clientToken" doc:"repeating the request with it changes nothing and gives the same answer"`
	Warnings    []Warning `json:"warnings" doc:"what was asked for and not done"`
}

// Warning is something asked for that is not done.
type Warning struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// ServiceWritten answers a change of a service.
type ServiceWritten struct {
	Written
	Service      *Service  `json:"service" nullable:"true" doc:"null when it is gone already"`
	DeploymentID string    `json:"deploymentId,omitempty" doc:"of the deployment that the change made, if it made one"`
	Defaults     []Default `json:"defaults,omitempty" doc:"what was taken because nothing was given"`
}

// Default is a value taken because nothing was given.
type Default struct {
	Field string `json:"field"`
	Value string `json:"value"`
	Why   string `json:"why"`
}

// TaskDefWritten answers a registration.
type TaskDefWritten struct {
	Written
	TaskDef *TaskDef `json:"taskDefinition" nullable:"true"`
}

// TasksWritten answers a run or a stop.
type TasksWritten struct {
	Written
	Tasks []Task `json:"tasks"`
}

// HostWritten answers a change of a host.
type HostWritten struct {
	Written
	Host *Host `json:"host" nullable:"true"`
}

// TokenMade answers with a token's text, once.
type TokenMade struct {
	Written
	ID       string `json:"id" doc:"public half, for deleting it"`
	Kind     string `json:"kind" enum:"join,operator"`
	Token    string `json:"token,omitempty" doc:"the secret text; shown in this answer and never again. Absent when a repeated request made it before"`
	Uses     int    `json:"uses,omitempty"`
	NotAfter Stamp  `json:"notAfter,omitzero"`
}

// FleetWritten answers a change of the fleet itself.
type FleetWritten struct {
	Written
	Fleet FleetInfo `json:"fleet"`
}

// SettingWritten answers a change of a setting.
type SettingWritten struct {
	Written
	Setting
}
