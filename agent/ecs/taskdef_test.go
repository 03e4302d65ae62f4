package ecs

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

const fullTaskDef = `{
  "family": "web", "networkMode": "bridge", "cpu": "1 vCPU", "memory": "2 GB",
  "runtimePlatform": {"operatingSystemFamily": "LINUX"},
  "tags": [{"key": "team", "value": "a b/c"}],
  "containerDefinitions": [{
    "name": "app", "image": "registry:5000/team/web:1.2", "cpu": 256, "memory": 512, "memoryReservation": 256,
    "entryPoint": ["/bin/web"], "command": ["--port", "8080"], "workingDirectory": "/srv", "user": "1000:web",
    "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": ""}],
    "portMappings": [{"name": "http", "containerPort": 8080}, {"containerPort": 9090, "hostPort": 9091, "protocol": "udp"}],
    "healthCheck": {"command": ["CMD-SHELL", "curl -f localhost"], "interval": 10, "timeout": 2, "retries": 2, "startPeriod": 5},
    "stopTimeout": 60, "readonlyRootFilesystem": true,
    "linuxParameters": {"initProcessEnabled": true, "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}},
    "ulimits": [{"name": "nofile", "softLimit": 1024, "hardLimit": -1}]
  }, {
    "name": "side", "image": "busybox", "essential": false, "memoryReservation": 64,
    "healthCheck": {"httpGet": {"port": 81, "path": "/healthz"}}
  }]
}`

func TestAFullDefinitionIsReadWhole(t *testing.T) {
	got, err := ReadTaskDef([]byte(fullTaskDef), Options{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	want := TaskDef{Family: "web", Def: fleet.TaskDef{
		ID: "web", NetworkMode: fleet.NetworkBridge, CPU: 1024, Memory: 2048, Tags: map[string]string{"team": "a b/c"},
		Containers: []fleet.Container{{
			Name: "app", Image: "registry:5000/team/web:1.2", CPU: 256, Memory: 512, MemoryReservation: 256,
			EntryPoint: []string{"/bin/web"}, Command: []string{"--port", "8080"}, WorkingDirectory: "/srv", User: "1000:web",
			Environment: []fleet.EnvVar{{Name: "A", Value: "1"}, {Name: "B"}},
			PortMappings: []fleet.PortMapping{{Name: "http", ContainerPort: 8080, Protocol: fleet.TCP},
				{ContainerPort: 9090, HostPort: 9091, Protocol: fleet.UDP}},
			HealthCheck: &fleet.HealthCheck{Command: []string{"/bin/sh", "-c", "curl -f localhost"}, IntervalS: 10, TimeoutS: 2,
				Retries: 2, StartPeriodS: 5},
			StopTimeoutS: 60, ReadonlyRootFS: true, InitProcess: true,
			Capabilities: &fleet.Capabilities{Add: []string{"NET_ADMIN"}, Drop: []string{"ALL"}},
			Ulimits:      []fleet.Ulimit{{Name: "nofile", Soft: 1024, Hard: -1}},
		}, {
			Name: "side", Image: "busybox", NotEssential: true, MemoryReservation: 64, StopTimeoutS: 30,
			HealthCheck: &fleet.HealthCheck{HTTP: &fleet.HTTPCheck{Port: 81, Path: "/healthz"}, IntervalS: 30, TimeoutS: 5,
				Retries: 3},
		}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestDescribesAnswerIsAcceptedWithWarnings(t *testing.T) {
	answer := `{"taskDefinition": {"taskDefinitionArn": "arn:aws:ecs:eu-west-1:1:task-definition/web:4", "revision": 4, "status": "ACTIVE",
	  "family": "web", "volumes": [], "placementConstraints": [], "compatibilities": ["EC2"], "registeredAt": 1.5,
	  "containerDefinitions": [{"name": "app", "image": "web", "memory": 64, "mountPoints": [], "volumesFrom": [], "systemControls": [], "privileged": false,
	    "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/ecs/web"}}}]},
	  "tags": [{"key": "team", "value": "a"}]}`
	got, err := ReadTaskDef([]byte(answer), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var fields []string
	for _, w := range got.Warnings {
		fields = append(fields, w.Field)
	}
	want := []string{"taskDefinitionArn", "revision", "status", "compatibilities", "registeredAt",
		"containerDefinitions[0].logConfiguration", "containerDefinitions[0].logConfiguration.options"}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("warned fields, -want +got\n%s", diff)
	}
	if got.Def.Tags["team"] != "a" {
		t.Errorf("the tags beside the definition are lost: %v", got.Def.Tags)
	}
}

// app wraps one container's fields, task its task's fields.
func app(fields string) string {
	return `{"family": "web", "containerDefinitions": [{"name": "app", "image": "web", "memory": 64, ` + fields + `}]}`
}

func task(fields string) string {
	return `{"family": "web", "containerDefinitions": [{"name": "app", "image": "web", "memory": 64}], ` + fields + `}`
}

func TestRefusalsNameTheFieldAndWhatIsAllowed(t *testing.T) {
	at := "containerDefinitions[0]."
	tests := map[string]struct{ doc, want string }{
		"a check that runs too often": {app(`"healthCheck": {"command": ["CMD", "x"], "interval": 3}`),
			at + "healthCheck.interval: 3 is below 5 (5 to 300)"},
		"a time-out that is too long": {app(`"healthCheck": {"command": ["CMD", "x"], "timeout": 61}`),
			at + "healthCheck.timeout: 61 is above 60 (2 to 60)"},
		"no retries": {app(`"healthCheck": {"command": ["CMD", "x"], "retries": 0}`),
			at + "healthCheck.retries: 0 is below 1 (1 to 10)"},
		"a start period that is too long": {app(`"healthCheck": {"command": ["CMD", "x"], "startPeriod": 301}`),
			at + "healthCheck.startPeriod: 301 is above 300"},
		"a check of nothing":            {app(`"healthCheck": {}`), at + `healthCheck.command: missing`},
		"a check with an empty command": {app(`"healthCheck": {"command": []}`), at + `healthCheck.command: empty`},
		"a shell line given as words": {app(`"healthCheck": {"command": ["CMD-SHELL", "curl", "-f"]}`),
			at + "healthCheck.command: CMD-SHELL takes exactly one line"},
		"a check whose first word holds the line": {
			app(`"healthCheck": {"command": ["CMD-SHELL, curl -f http://localhost/ || exit 1"]}`),
			at + `healthCheck.command: "CMD-SHELL, curl -f http://localhost/ || exit 1" is one word; write ["CMD-SHELL", ` +
				`"curl -f http://localhost/ || exit 1"]`},
		"a check whose first word holds the words": {app(`"healthCheck": {"command": ["CMD /bin/check -q"]}`),
			at + `healthCheck.command: "CMD /bin/check -q" is one word; write ["CMD-SHELL", "/bin/check -q"]`},
		"a program that is a shell's line": {app(`"healthCheck": {"command": ["CMD", "curl -f localhost || exit 1"]}`),
			at + `healthCheck.command: "curl -f localhost || exit 1" is one word; write ["CMD-SHELL", "curl -f localhost || exit 1"]`},
		"a bare line": {app(`"healthCheck": {"command": ["curl -f localhost"]}`),
			at + `healthCheck.command: "curl -f localhost" is one word; write ["CMD-SHELL", "curl -f localhost"]`},
		"a keyword and a program in one word": {app(`"healthCheck": {"command": ["cmd,/bin/check", "-q"]}`),
			at + `healthCheck.command: "cmd,/bin/check" is one word; write ["CMD-SHELL", "/bin/check"]`},
		"a keyword in lower case": {app(`"healthCheck": {"command": ["cmd-shell", "exit 0"]}`),
			at + `healthCheck.command: "cmd-shell" is no program; write CMD-SHELL`},
		"CMD without a program": {app(`"healthCheck": {"command": ["CMD"]}`),
			at + "healthCheck.command: CMD needs a program"},
		"two kinds of check": {
			app(`"healthCheck": {"command": ["CMD", "x"], "httpGet": {"port": 80}}`),
			at + "healthCheck.httpGet: given beside command"},
		"an HTTP check without a port": {app(`"healthCheck": {"httpGet": {"path": "/"}}`),
			at + "healthCheck.httpGet.port: missing"},
		"an HTTP check with a path that is none": {app(`"healthCheck": {"httpGet": {"port": 80, "path": "x"}}`),
			at + `healthCheck.httpGet.path: "x" does not begin with /`},
		"an HTTP check of an unreachable container": {`{"networkMode": "none", ` +
			app(`"healthCheck": {"httpGet": {"port": 80}}`)[1:], at + "healthCheck.httpGet: the agent cannot reach"},
		"a misspelt field": {app(`"enviroment": []`), at + "enviroment: unknown field; did you mean environment?"},
		"a field in the wrong case": {task(`"NetworkMode": "host"`),
			"NetworkMode: unknown field; names are camelCase: write networkMode"},
		"a field in the wrong place": {task(`"hostPort": 80`),
			"hostPort: unknown field; it belongs at containerDefinitions[].portMappings[].hostPort"},
		"a number where a string belongs":         {app(`"user": 7`), at + "user: is a number, must be a string"},
		"a string where a number belongs":         {app(`"cpu": "256"`), at + "cpu: is a string, must be a whole number"},
		"a fraction where a whole number belongs": {app(`"cpu": 1.5`), at + "cpu: 1.5 is not a whole number"},
		"a number beyond 64 bits": {app(`"cpu": 123456789012345678901234567890`),
			at + "cpu: 123456789012345678901234567890 is not a whole number"},
		"an exponent": {app(`"cpu": 1e3`), at + "cpu: 1e3 is not a whole number"},
		"a list where an object belongs": {app(`"linuxParameters": []`),
			at + "linuxParameters: is a list, must be an object"},
		"an entry that is no object": {`{"family": "web", "containerDefinitions": [7]}`,
			"containerDefinitions[0]: is a number, must be an object"},
		"no containers": {`{"family": "web", "containerDefinitions": []}`,
			"containerDefinitions: missing: a task needs 1 to 10"},
		"too many containers": {`{"family": "web", "containerDefinitions": [` +
			strings.Repeat(`{},`, 10) + `{}]}`, "containerDefinitions: 11 entries, at most 10"},
		"no family": {`{"containerDefinitions": [{"name": "app", "image": "web", "memory": 64}]}`, "family: missing"},
		"a family with a space": {strings.Replace(app(`"cpu": 1`), `"web"`, `"we b"`, 1),
			`family: "we b": 1 to 255 letters`},
		"a family that turns the writing direction": {strings.Replace(app(`"cpu": 1`), `"web"`, `"we\u202eb"`, 1),
			"family: \"we\uFFFDb\""},
		"no image": {`{"family": "web", "containerDefinitions": [{"name": "app", "memory": 64}]}`, at + "image: missing"},
		"an image in upper case": {
			`{"family": "web", "containerDefinitions": [{"name": "app", "image": "Web", "memory": 64}]}`,
			at + `image: "Web" is not an image reference`},
		"an image with a short digest": {
			`{"family": "web", "containerDefinitions": [{"name": "app", "image": "web@sha256:12", "memory": 64}]}`,
			at + `image: "web@sha256:12" is not`},
		"two containers with one name": {
			`{"family": "web", "containerDefinitions": [{"name": "a", "image": "w", "memory": 9}, {"name": "a", "image": "w", "memory": 9}]}`, `containerDefinitions[1].name: "a" is another container's name`},
		"nothing essential": {app(`"essential": false`), "containerDefinitions: no container is essential"},
		"no memory at all": {
			`{"family": "web", "containerDefinitions": [{"name": "app", "image": "web"}]}`,
			at + "memory: missing: give memory, memoryReservation"},
		"too little memory": {
			`{"family": "web", "containerDefinitions": [{"name": "app", "image": "web", "memory": 3}]}`,
			at + "memory: 3 is below 4"},
		"a reservation that equals the limit": {app(`"memoryReservation": 64`),
			at + "memoryReservation: 64 is not below memory 64"},
		"a container above its task": {task(`"memory": "32"`), at + "memory: 64 is above the whole task's memory 32"},
		"containers that reserve more than their task": {
			`{"family": "web", "memory": "64", "containerDefinitions": [{"name": "a", "image": "w", "memory": 40}, {"name": "b", "image": "w", "memory": 40}]}`, "memory: 64 is below what the containers reserve together, 80"},
		"too little task cpu": {task(`"cpu": "64"`), "cpu: 64 is below 128 (128 to 196608)"},
		"task cpu that is not a whole number of units": {task(`"cpu": "0.3 vCPU"`),
			`cpu: "0.3 vCPU" is not a whole number of units`},
		"task memory in another unit": {task(`"memory": "512 MB"`), `memory: "512 MB" is not a whole number of units`},
		"a host port that differs with networkMode awsvpc": {`{"networkMode": "awsvpc", ` +
			app(`"portMappings": [{"containerPort": 80, "hostPort": 8080}]`)[1:],
			at + "portMappings[0].hostPort: 8080 differs from containerPort 80; with networkMode awsvpc they are one"},
		"a network mode nobody knows": {task(`"networkMode": "macvlan"`),
			`networkMode: "macvlan" is not known; allowed are bridge, host, none`},
		"Windows": {
			task(`"runtimePlatform": {"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}`),
			`runtimePlatform.operatingSystemFamily: "WINDOWS_SERVER_2022_CORE" is not known; allowed are LINUX`},
		"volumes":  {task(`"volumes": [{"name": "v"}]`), "volumes: comes with the whole task model"},
		"a secret": {app(`"secrets": [{"name": "A", "valueFrom": "b"}]`), at + "secrets: comes with secrets"},
		"a dependency": {app(`"dependsOn": [{"containerName": "b", "condition": "START"}]`),
			at + "dependsOn: comes with the whole task model"},
		"a privileged container": {app(`"privileged": true`), at + "privileged: no host of this fleet allows"},
		"a log driver that goes elsewhere": {app(`"logConfiguration": {"logDriver": "splunk"}`),
			at + `logConfiguration.logDriver: "splunk" is not offered`},
		"an unpinned image": {app(`"versionConsistency": "disabled"`), at + "versionConsistency: disabled comes later"},
		"a variable without a name": {app(`"environment": [{"value": "x"}]`),
			at + "environment[0].name: missing"},
		"a variable set twice": {app(`"environment": [{"name": "A"}, {"name": "A"}]`),
			at + `environment[1].name: "A" is set twice`},
		"a variable with = in its name": {app(`"environment": [{"name": "A=B"}]`), at + `environment[0].name: "A=B" holds =`},
		"a NUL in an argument":          {app(`"command": ["a\u0000b"]`), at + "command[0]: holds a NUL"},
		"a relative working directory": {app(`"workingDirectory": "srv"`),
			at + `workingDirectory: "srv" does not begin with /`},
		"a working directory among the host's files": {app(`"workingDirectory": "/proc/self/fd/7"`),
			at + `workingDirectory: "/proc/self/fd/7" lies in /proc`},
		"a detour to the host's files": {app(`"workingDirectory": "/srv/../proc/self/fd/7"`), at + "workingDirectory: "},
		"a user id that wraps to root": {app(`"user": "4294967296"`), at + "user: 4294967296: an id from 0 to 2147483647"},
		"a user with three parts":      {app(`"user": "a:b:c"`), at + `user: "a:b:c"`},
		"a capability nobody knows": {app(`"linuxParameters": {"capabilities": {"add": ["FLY"]}}`),
			at + `linuxParameters.capabilities.add: "FLY" is not a Linux capability`},
		"a capability with its prefix": {
			app(`"linuxParameters": {"capabilities": {"drop": ["CAP_CHOWN"]}}`),
			at + `linuxParameters.capabilities.drop: "CAP_CHOWN": write CHOWN`},
		"a device": {app(`"linuxParameters": {"devices": [{"hostPath": "/dev/x"}]}`),
			at + "linuxParameters.devices: comes with"},
		"an unknown limit": {
			app(`"ulimits": [{"name": "files", "softLimit": 1, "hardLimit": 1}]`),
			at + `ulimits[0].name: "files" is not known; allowed are core`},
		"a soft limit above the hard one": {
			app(`"ulimits": [{"name": "nofile", "softLimit": 2, "hardLimit": 1}]`),
			at + "ulimits[0].softLimit: 2 is above hardLimit 1"},
		"a limit without a number":            {app(`"ulimits": [{"name": "nofile"}]`), at + "ulimits[0].softLimit: missing"},
		"a stop that takes longer than a day": {app(`"stopTimeout": 86401`), at + "stopTimeout: 86401 is above 86400"},
		"ports without a network": {`{"networkMode": "none", ` +
			app(`"portMappings": [{"containerPort": 80}]`)[1:], at + "portMappings: networkMode none has no ports"},
		"a port nobody has": {app(`"portMappings": [{"containerPort": 65536}]`),
			at + "portMappings[0].containerPort: 65536 is above 65535"},
		"a mapping without a container port": {app(`"portMappings": [{"hostPort": 80}]`),
			at + "portMappings[0].containerPort: missing"},
		"a range of ports": {app(`"portMappings": [{"containerPortRange": "80-90"}]`),
			at + "portMappings[0].containerPortRange: comes with"},
		"a reserved host port": {app(`"portMappings": [{"containerPort": 80, "hostPort": 22}]`),
			at + "portMappings[0].hostPort: 22 is reserved"},
		"a host port of the agent": {app(`"portMappings": [{"containerPort": 80, "hostPort": 7700}]`),
			at + "portMappings[0].hostPort: 7700 is the agent's own"},
		"a fixed host port in the dynamic range": {app(`"portMappings": [{"containerPort": 80, "hostPort": 50000}]`),
			at + "portMappings[0].hostPort: 50000 lies in the range given out"},
		"one container port mapped twice": {
			app(`"portMappings": [{"containerPort": 80}, {"containerPort": 80, "protocol": "udp"}]`),
			at + "portMappings[1].containerPort: 80 is mapped already at containerDefinitions[0].portMappings[0].containerPort"},
		"one host port taken twice": {
			app(`"portMappings": [{"containerPort": 80, "hostPort": 80}, {"containerPort": 81, "hostPort": 80}]`),
			at + "portMappings[1].hostPort: 80 is taken already at"},
		"a host port that differs with networkMode host": {`{"networkMode": "host", ` +
			app(`"portMappings": [{"containerPort": 80, "hostPort": 81}]`)[1:],
			at + "portMappings[0].hostPort: 81 differs from containerPort 80"},
		"a reserved port with networkMode host": {`{"networkMode": "host", ` +
			app(`"portMappings": [{"containerPort": 22}]`)[1:], at + "portMappings[0].containerPort: 22 is reserved"},
		"a protocol nobody knows": {app(`"portMappings": [{"containerPort": 80, "protocol": "sctp"}]`),
			at + `portMappings[0].protocol: "sctp" is not known; allowed are tcp, udp`},
		"a port name in upper case": {app(`"portMappings": [{"containerPort": 80, "name": "Web"}]`),
			at + `portMappings[0].name: "Web"`},
		"a tag without a key": {task(`"tags": [{"value": "x"}]`), "tags[0].key: missing"},
		"a tag whose key has other characters": {task(`"tags": [{"key": "a<b"}]`),
			`tags[0].key: "a<b": letters, digits`},
		"a tag whose value has other characters": {task(`"tags": [{"key": "a", "value": "<b>"}]`),
			`tags[0].value: "<b>": letters, digits`},
		"a tag given twice": {task(`"tags": [{"key": "a"}, {"key": "a"}]`),
			`tags[1].key: "a" is given twice`},
		"a name given twice in one object":   {app(`"cpu": 1, "cpu": 2`), at + "cpu: given twice in one object"},
		"something beside describe's answer": {`{"taskDefinition": {}, "x": 1}`, "x: unknown field beside taskDefinition"},
		"a document that is a list":          {`[]`, "the document is a list, must be an object"},
		"fields that are mapped, when strict": {strings.Replace(app(`"logConfiguration": {"logDriver": "awslogs"}`), "{",
			`{"STRICT": 0,`, 1), at + "logConfiguration: mapped: logs go to a file"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			doc, strict := strings.CutPrefix(tt.doc, `{"STRICT": 0,`)
			if strict {
				doc = "{" + doc
			}
			_, err := ReadTaskDef([]byte(doc), Options{Strict: strict, ReservedPorts: []int{7700}})
			if !errors.Is(err, fleet.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestWhatIsAllowedAtTheEdges(t *testing.T) {
	tests := map[string]struct {
		doc   string
		check func(fleet.TaskDef) bool
	}{
		"cpu in vCPU with a fraction":  {task(`"cpu": ".5 vcpu"`), func(d fleet.TaskDef) bool { return d.CPU == 512 }},
		"cpu as a number":              {task(`"cpu": 256`), func(d fleet.TaskDef) bool { return d.CPU == 256 }},
		"memory in GB without a space": {task(`"memory": "2GB"`), func(d fleet.TaskDef) bool { return d.Memory == 2048 }},
		"task memory instead of a container's": {
			`{"family": "w", "memory": "128", "containerDefinitions": [{"name": "a", "image": "w"}]}`,
			func(d fleet.TaskDef) bool { return d.Reservation().Memory == 128 }},
		"a bare list as a check": {app(`"healthCheck": {"command": ["/check", "-x"]}`),
			func(d fleet.TaskDef) bool { return len(d.Containers[0].HealthCheck.Command) == 2 }},
		"an HTTP check without a path": {app(`"healthCheck": {"httpGet": {"port": 80}}`),
			func(d fleet.TaskDef) bool { return d.Containers[0].HealthCheck.HTTP.Path == "/" }},
		"a host port with networkMode host": {`{"networkMode": "host", ` +
			app(`"portMappings": [{"containerPort": 8080}]`)[1:],
			func(d fleet.TaskDef) bool { return d.Containers[0].PortMappings[0].HostPort == 8080 }},
		"no network mode is bridge": {task(`"networkMode": null`),
			func(d fleet.TaskDef) bool { return d.NetworkMode == fleet.NetworkBridge }},
		"a stop without grace": {app(`"stopTimeout": 0`),
			func(d fleet.TaskDef) bool { return d.Containers[0].StopTimeoutS == 0 }},
		"a digest": {strings.Replace(app(`"cpu": 0`), `"web", "memory"`,
			`"web:1@sha256:`+strings.Repeat("a", 64)+`", "memory"`, 1), func(d fleet.TaskDef) bool { return true }},
		"a registry on an IPv6 address": {strings.Replace(app(`"cpu": 0`), `"web", "memory"`,
			`"[fd00::1]:5000/web", "memory"`, 1), func(d fleet.TaskDef) bool { return true }},
		"refused fields whose value asks for nothing": {
			app(`"dependsOn": [], "privileged": false, "restartPolicy": {"enabled": false}, "hostname": "", "secrets": null`),
			func(d fleet.TaskDef) bool { return true }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ReadTaskDef([]byte(tt.doc), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if !tt.check(got.Def) {
				t.Errorf("read as %+v", got.Def)
			}
		})
	}
}

func TestHostileDocumentsAreRefusedBeforeTheirFields(t *testing.T) {
	tests := map[string]struct {
		doc  string
		want error
		text string
	}{
		"larger than what is read": {strings.Repeat(" ", MaxDocument+1), strictjson.ErrTooLarge, "at most 262144"},
		"larger than a definition": {app(`"command": ["` + strings.Repeat("x", maxTaskDef) + `"]`),
			strictjson.ErrTooLarge, "at most 65536"},
		"nested too deep":            {strings.Repeat("[", 100_000), strictjson.ErrSyntax, "nested deeper than 64"},
		"nested too deep in objects": {strings.Repeat(`{"a":`, 30_000), strictjson.ErrSyntax, "nested deeper than 64"},
		"cut off": {`{"family": "web"`, strictjson.ErrSyntax,
			"line 1, column 17: the document ends too early"},
		"empty":                 {``, strictjson.ErrSyntax, "the document ends too early"},
		"followed by something": {app(`"cpu": 1`) + ` {}`, strictjson.ErrSyntax, "something follows"},
		"followed by rubbish":   {app(`"cpu": 1`) + "\n x", strictjson.ErrSyntax, "something follows"},
		"not UTF-8": {"{\"family\": \"w\xffb\"}", strictjson.ErrSyntax,
			"line 1, column 14: a byte that is not UTF-8"},
		"with a comment":               {"{\n  // hello\n}", strictjson.ErrSyntax, "line 2, column 3"},
		"with a comma too many":        {`{"family": "web",}`, strictjson.ErrSyntax, "line 1"},
		"without a comma":              {`{"family": "web" "cpu": 1}`, strictjson.ErrSyntax, "line 1"},
		"with brackets that do not go": {`{"a": [1}]`, strictjson.ErrSyntax, "line 1"},
		"NaN":                          {`{"cpu": NaN}`, strictjson.ErrSyntax, "line 1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ReadTaskDef([]byte(tt.doc), Options{})
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v\nwant %v with %q", err, tt.want, tt.text)
			}
		})
	}
}

func TestAllProblemsAreListedUpToABound(t *testing.T) {
	var fields []string
	for i := range 50 {
		fields = append(fields, fmt.Sprintf(`"x%d": 1`, i))
	}
	_, err := ReadTaskDef([]byte(task(strings.Join(fields, ","))), Options{})
	var list *strictjson.Errors
	if !errors.As(err, &list) || len(list.Fields) != 20 || list.More != 30 {
		t.Fatalf("want 20 problems and 30 more, got %v", err)
	}
	var field *fleet.FieldError
	if !errors.As(err, &field) || field.Field != "x0" {
		t.Errorf("the first problem must come first, got %v", field)
	}
}

func FuzzReadTaskDef(f *testing.F) {
	f.Add([]byte(fullTaskDef))
	f.Add([]byte(`{"taskDefinition": {"family": "w"}, "tags": []}`))
	f.Add([]byte(`{"family": "w", "family": "w"}`))
	f.Add([]byte("{\"family\": \"\\ud800\"}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := ReadTaskDef(data, Options{})
		if err != nil {
			return
		}
		if !json.Valid(data) {
			t.Fatalf("accepted what is not JSON: %q", data)
		}
		if got.Family == "" || len(got.Def.Containers) == 0 || got.Def.Reservation().Memory <= 0 {
			t.Fatalf("accepted a definition that cannot run: %+v", got)
		}
	})
}
