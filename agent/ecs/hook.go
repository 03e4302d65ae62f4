package ecs

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"

	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

// readHooks reads lifecycleHooks. Source: ECS API, DeploymentLifecycleHook; name,
// secretFile and the stages beyond ECS's are Skein's own.
func readHooks(o *strictjson.Object) []fleet.Hook {
	if !o.Has("lifecycleHooks") {
		return nil
	}
	hooks := []fleet.Hook{}
	for _, in := range o.Objects("lifecycleHooks", maxHooks) {
		hooks = append(hooks, readHook(in))
	}
	nameHooks(hooks)
	return hooks
}

func readHook(o *strictjson.Object) fleet.Hook {
	h := fleet.Hook{Name: o.Text("name", maxName)}
	if o.Object("hookDetails") != nil {
		h.Details = o.JSON("hookDetails")
	}
	readStages(o, &h)
	longest := float64(maxHookMinutes)
	switch kind := o.Choice("targetType", "AWS_LAMBDA", "PAUSE", "WEBHOOK", "TASK"); kind {
	case "PAUSE":
		h.Pause, longest = true, maxPauseMinutes
		if o.Has("hookTargetArn") {
			o.Refuse("hookTargetArn", "is of hooks that call something; a PAUSE waits for a person: leave it out")
		}
	default:
		readHookTarget(o, &h, kind)
	}
	if t := o.Object("timeoutConfiguration"); t != nil {
		if s := readMinutes(t, "timeoutInMinutes", minHookMinutes, longest); s != nil {
			h.TimeoutS = *s
		}
		h.ContinueOnTimeout = t.Choice("action", "ROLLBACK", "CONTINUE") == "CONTINUE"
	}
	if o.Has("secretFile") {
		if secret := o.Text("secretFile", maxPath); h.Webhook != nil {
			h.Webhook.SecretFile = secret
		} else {
			o.Refuse("secretFile", "signs the calls of a webhook, and this hook calls none: leave it out")
		}
	}
	return h
}

// readHookTarget reads what is called: a URL, or a task definition that is run. Kind
// AWS_LAMBDA stands for either.
func readHookTarget(o *strictjson.Object, h *fleet.Hook, kind string) {
	const field = "hookTargetArn"
	target := o.Text(field, 2048)
	isURL := strings.HasPrefix(target, "https://") || strings.HasPrefix(target, "http://")
	if m := arnForm.FindStringSubmatch(target); m != nil {
		target = m[1]
	}
	switch {
	case o.Kind(field) > strictjson.Null && o.Kind(field) != strictjson.Text: // refused already
	case !o.Has(field) || target == "":
		o.Refuse(field, "missing: the URL of a webhook, or a task definition to run")
	case strings.HasPrefix(target, "arn:"):
		o.Refuse(field, "%q cannot be called from here: put the URL of a webhook, or the name of a task definition to run, "+
			"in its place", strictjson.Show(target))
	case isURL && kind == "TASK":
		o.Refuse(field, "%q is a URL; a TASK names a task definition", strictjson.Show(target))
	case isURL:
		h.Webhook = &fleet.WebhookTarget{URL: target}
	case kind == "WEBHOOK" || !taskDefRef.MatchString(target):
		o.Refuse(field, "%q: the URL of a webhook (https:// or http://), or a task definition to run (family, or "+
			"family:revision)", strictjson.Show(target))
	default:
		h.Task = &fleet.TaskHookTarget{TaskDef: fleet.TaskDefID(target)}
	}
	if kind != "AWS_LAMBDA" || !o.Has("targetType") {
		return
	}
	switch {
	case h.Webhook != nil:
		o.Warn("targetType", "AWS_LAMBDA is taken for a webhook, since the target is a URL")
	case h.Task != nil:
		o.Warn("targetType", "AWS_LAMBDA is taken for a task, since the target is a task definition")
	}
}

func readStages(o *strictjson.Object, h *fleet.Hook) {
	const field = "lifecycleStages"
	if !o.Has(field) {
		o.Refuse(field, "missing: the stages at which the hook is called, like POST_SCALE_UP")
		return
	}
	seen := map[fleet.LifecycleStage]bool{}
	for i, name := range o.Texts(field, 2*int(fleet.PointRollbackEnded), maxName) {
		stage, err := fleet.ParseLifecycleStage(name)
		switch {
		case err != nil:
			o.Refuse(fmt.Sprintf("%s[%d]", field, i), "%q is no stage, like POST_SCALE_UP or BAKE_TIME", strictjson.Show(name))
		case seen[stage]:
			o.Refuse(fmt.Sprintf("%s[%d]", field, i), "%s is given twice; keep one", stage)
		default:
			seen[stage] = true
		}
	}
	for stage := fleet.StageReconcileService; stage <= fleet.PointRollbackEnded; stage++ {
		if seen[stage] {
			h.Stages = append(h.Stages, stage)
		}
	}
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// nameHooks names hooks that have no name after what they call, since people ask after
// them by name.
func nameHooks(hooks []fleet.Hook) {
	taken := map[string]bool{fleet.ProbeHook: true}
	for i := range hooks {
		taken[hooks[i].Name] = true
	}
	for i := range hooks {
		h := &hooks[i]
		if h.Name != "" {
			continue
		}
		base := hookName(h)
		h.Name = base
		for n := 2; taken[h.Name]; n++ {
			h.Name = fmt.Sprintf("%s-%d", base, n)
		}
		taken[h.Name] = true
	}
}

const maxHookName = 48 // leaves room for a number

func hookName(h *fleet.Hook) string {
	name := "hook"
	switch {
	case h.Pause:
		name = "pause"
	case h.Task != nil:
		name, _ = h.Task.TaskDef.Split()
		if name == "" {
			name = string(h.Task.TaskDef)
		}
	case h.Webhook != nil:
		if u, err := url.Parse(h.Webhook.URL); err == nil {
			name = path.Base(u.Path)
			if name == "/" || name == "." {
				name = u.Hostname()
			}
		}
	}
	name = strings.Trim(notInNames.ReplaceAllString(name, "-"), "-")
	if len(name) > maxHookName {
		name = name[:maxHookName]
	}
	if name == "" {
		return "hook"
	}
	return name
}
