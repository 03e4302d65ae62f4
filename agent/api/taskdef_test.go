package api

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whoever reads a definition gets what was registered, each part whether or not the others are there: an answer is
// edited and registered again.
func TestADefinitionIsAnsweredAsItWasRegistered(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	for name, text := range map[string]string{
		"an init process": `"linuxParameters": {"initProcessEnabled": true}`,
		"capabilities":    `"linuxParameters": {"capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}}`,
		"an init process, capabilities": `"linuxParameters": ` +
			`{"initProcessEnabled": true, "capabilities": {"add": ["NET_ADMIN"]}}`,
		"no parameters of the kernel": `"user": "1000"`,
		"a health check by command": `"healthCheck": ` +
			`{"command": ["CMD", "true"], "interval": 5, "timeout": 2, "retries": 3}`,
		"a health check over HTTP": `"healthCheck": {"httpGet": {"port": 80, "path": "/x"}, "interval": 5}`,
		"ulimits":                  `"ulimits": [{"name": "nofile", "softLimit": 10, "hardLimit": 20}]`,
		"a port with a name": `"portMappings": ` +
			`[{"name": "http", "containerPort": 80, "hostPort": 8080, "protocol": "tcp"}]`,
		"an environment, an entry point": `"environment": [{"name": "A", "value": "b"}], ` +
			`"entryPoint": ["/x"], "command": ["y"]`,
	} {
		t.Run(name, func(t *testing.T) {
			var given map[string]any
			if err := json.Unmarshal([]byte("{"+text+"}"), &given); err != nil {
				t.Fatal(err)
			}
			body := fmt.Sprintf(`{"family": "kept", "containerDefinitions": [
				{"name": "app", "image": "registry:5000/web:1", "cpu": 1, "memory": 64, %s}]}`, text)
			want(t, 201, root, "POST", "/v1/taskdefs", body)
			got := at(t, want(t, 200, root, "GET", "/v1/taskdefs/kept", ""), "containerDefinitions", 0).(map[string]any)
			for field, value := range given {
				if diff := cmp.Diff(value, withoutDefaults(value, got[field])); diff != "" {
					t.Errorf("%s (-given +answered):\n%s", field, diff)
				}
			}
			if _, told := got["linuxParameters"]; told != (given["linuxParameters"] != nil) {
				t.Errorf("linuxParameters: %v, given %v", got["linuxParameters"], given["linuxParameters"])
			}
		})
	}
}

// withoutDefaults is what was answered of what was given: an answer has defaults as well.
func withoutDefaults(given, answered any) any {
	of, ok := given.(map[string]any)
	got, same := answered.(map[string]any)
	if !ok || !same {
		return answered
	}
	kept := map[string]any{}
	for field := range of {
		if value, there := got[field]; there {
			kept[field] = withoutDefaults(of[field], value)
		}
	}
	return kept
}
