package sim

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// hostVerb is an operation that is done to each of some hosts.
func hostVerb(do func(*World, *host)) verb {
	return verb{use: "HOST...", least: 1, most: -1, do: func(w *World, words words) error {
		return w.each(words.objects, func(h *host) {
			do(w, h)
			w.watch.faults(h)
			w.watch.disturbed(h, disturbance)
		})
	}}
}

// disturbance is how long after a fault a host may still be thought ill of.
const disturbance = 15 * time.Second

func init() {
	maps.Copy(verbs, map[string]verb{
		"kill":  hostVerb(func(_ *World, h *host) { h.powerOff() }),
		"start": hostVerb(func(_ *World, h *host) { h.powerOn(); h.startAgentSoon() }),
		"reboot": hostVerb(func(w *World, h *host) {
			h.powerOff()
			w.time.After(20*time.Second, h.powerOn)
		}),
		"kill-agent":  hostVerb(func(_ *World, h *host) { h.killAgent() }),
		"start-agent": hostVerb(func(_ *World, h *host) { h.startAgentSoon() }),
		"restart-agent": hostVerb(func(_ *World, h *host) {
			h.killAgent()
			h.startAgentSoon()
		}),
		"freeze":          hostVerb(func(_ *World, h *host) { h.freeze() }),
		"thaw":            hostVerb(func(_ *World, h *host) { h.thaw() }),
		"wipe":            hostVerb(func(_ *World, h *host) { h.wipe() }),
		"containerd-down": hostVerb(func(_ *World, h *host) { h.setRuntime(runtimeDown) }),
		"containerd-hang": hostVerb(func(_ *World, h *host) { h.setRuntime(runtimeHangs) }),
		"containerd-up":   hostVerb(func(_ *World, h *host) { h.setRuntime(runtimeUp) }),
		"disk-full":       hostVerb(func(_ *World, h *host) { h.setDisk(diskFull) }),
		"disk-stall":      hostVerb(func(_ *World, h *host) { h.setDisk(diskStalled) }),
		"disk-well":       hostVerb(func(_ *World, h *host) { h.setDisk(diskWell) }),
		"starve":          hostVerb(func(w *World, h *host) { w.starve(h, true) }),
		"feed":            hostVerb(func(w *World, h *host) { w.starve(h, false) }),
		"slow":            {use: "HOST TIMES", least: 2, most: 2, do: (*World).slow},
		"clock":           {use: "HOST DURATION: its wall clock is off by so much", least: 2, most: 2, do: (*World).setClock},
		"cut": {use: "HOST[,HOST] HOST[,HOST]: both ways", least: 2, most: 2,
			do: func(w *World, d words) error { return w.cut(d.objects, true) }},
		"cut-oneway": {use: "FROM[,FROM] TO[,TO]", least: 2, most: 2,
			do: func(w *World, d words) error { return w.cut(d.objects, false) }},
		"isolate": {use: "HOST[,HOST]: from all others", least: 1, most: 1, do: (*World).isolate},
		"heal":    {use: "[the words of a cut]: it, or all cuts", most: 3, do: (*World).heal},
		"network-conditions": {use: "", options: []string{"delay", "jitter", "loss", "dup", "tail"},
			do: (*World).setNetworkConditions},
		"registry-down": {do: func(w *World, _ words) error { w.registryDown = true; return nil }},
		"registry-up":   {do: func(w *World, _ words) error { w.registryDown = false; return nil }},
		"exit": {use: "[CODE]: a running container, by chance", most: 1, options: []string{"service"},
			do: (*World).exitOne},
		"fail-checks": {use: ": a running task, by chance, fails its checks for a while", options: []string{"service", "for"},
			do: (*World).breakDefinition},
		"sick-definition": {use: "FAMILY:N: every task of it fails its checks", least: 1, most: 1,
			do: func(w *World, d words) error {
				w.brokenDefs[fleet.TaskDefID(d.objects[0])] = true
				return nil
			}},
	})
}

func (h *host) startAgentSoon() {
	if h.on() && h.agent == nil {
		h.after(h.w.chance.Between(100*time.Millisecond, time.Second), h.startAgent)
	}
}

// wipe empties the data folder while the machine is off: the log, the journal
// and the wanted tasks. The identity lies elsewhere and stays.
func (h *host) wipe() {
	if h.on() {
		h.powerOff()
	}
	h.w.note("disk of %s is wiped", h.name)
	h.w.sometimes("a disk is wiped")
	h.journal, h.wanted, h.wantedBefore, h.behind = nil, nil, nil, false
	h.w.watch.checker.RecordsLost(h.id)
	if h.log != nil {
		h.w.sometimes("the disk of a voter is wiped")
		h.w.watch.checker.Wiped(h.log.ID())
		h.log.Wipe()
	}
}

func (w *World) starve(h *host, on bool) {
	h.starved = on
	w.detectors.Starve(h.id, on)
	factor := 1.0
	if on {
		factor = 8
	}
	w.net.Slow(h.id, factor)
}

func (w *World) slow(d words) error {
	factor, err := strconv.ParseFloat(d.objects[1], 64)
	if err != nil || factor < 1 || factor > 1000 {
		return fmt.Errorf("slow: %q is not a number from 1 to 1000", d.objects[1])
	}
	return w.each(d.objects[:1], func(h *host) {
		h.slow = factor
		w.net.Slow(h.id, factor)
		w.watch.faults(h)
		w.watch.disturbed(h, disturbance)
	})
}

func (w *World) setClock(d words) error {
	by, err := time.ParseDuration(d.objects[1])
	if err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	return w.each(d.objects[:1], func(h *host) {
		h.skew = by
		w.detectors.SetClock(h.id, by)
		w.watch.faults(h)
		w.sometimes("the clock of a host is off")
	})
}

func (w *World) group(text string) (ids []fleet.HostID, err error) {
	err = w.each(strings.Split(text, ","), func(h *host) { ids = append(ids, h.id) })
	return ids, err
}

// cut drops what some hosts send to others.
func (w *World) cut(groups []string, both bool) error {
	a, err := w.group(groups[0])
	if err != nil {
		return err
	}
	b, err := w.group(groups[1])
	if err != nil {
		return err
	}
	changeSet := append(slices.Clone(a), b...)
	w.cutting(changeSet, 1)
	heals := []func(){func() { w.cutting(changeSet, -1) }, w.net.Cut(a, b)}
	if both {
		heals = append(heals, w.net.Cut(b, a))
	}
	key := groups[0] + " " + groups[1]
	w.endCut(key)
	w.heals[key] = func() {
		for _, heal := range heals {
			heal()
		}
	}
	w.note("cut: %s", key)
	return nil
}

// cutting notes that a cut of hosts begins (1) or ends (-1). A host that only one
// other cannot reach is as well as before: nobody may take it for dead.
func (w *World) cutting(ids []fleet.HostID, by int) {
	pair := len(ids) == 2 && len(w.order) > 2
	for _, id := range ids {
		h := w.hosts[id]
		if pair {
			h.pairs += by
			w.watch.checker.Unseen(id, w.time.Now()+longestFault)
		} else {
			h.cuts += by
		}
		w.watch.faults(h)
		if !pair || h.pairs > 1 {
			w.watch.disturbed(h, disturbance)
		}
	}
}

// longestFault is longer than any that is drawn.
const longestFault = 15 * time.Minute

func (w *World) isolate(d words) error {
	var others []string
	inside := strings.Split(d.objects[0], ",")
	for _, h := range w.order {
		if !slices.Contains(inside, h.name) {
			others = append(others, h.name)
		}
	}
	return w.cut([]string{d.objects[0], strings.Join(others, ",")}, true)
}

func (w *World) heal(d words) error {
	if len(d.objects) == 0 {
		for _, key := range slices.Sorted(maps.Keys(w.heals)) {
			w.endCut(key)
		}
		return nil
	}
	prefix := strings.Join(d.objects, " ")
	for _, key := range slices.Sorted(maps.Keys(w.heals)) {
		if key == prefix || strings.HasPrefix(key, prefix+" ") {
			w.endCut(key)
		}
	}
	return nil
}

func (w *World) endCut(key string) {
	if heal := w.heals[key]; heal != nil {
		delete(w.heals, key)
		w.note("healed: %s", key)
		heal()
	}
}

// disturbAll tells the checker that a fault touches hosts; none are all.
func (w *World) disturbAll(ids []fleet.HostID) {
	if len(ids) == 0 {
		for _, h := range w.order {
			w.watch.disturbed(h, disturbance)
		}
		return
	}
	for _, id := range ids {
		w.watch.disturbed(w.hosts[id], disturbance)
	}
}

func (w *World) setNetworkConditions(d words) error {
	networkConditions := virtual.NetworkConditions{Delay: 500 * time.Microsecond, Jitter: 500 * time.Microsecond}
	for key, into := range map[string]*time.Duration{"delay": &networkConditions.Delay,
		"jitter": &networkConditions.Jitter} {
		if text, ok := d.options[key]; ok {
			v, err := time.ParseDuration(text)
			if err != nil || v < 0 || v > time.Minute {
				return fmt.Errorf("network-conditions: %s=%s is not a duration up to 1m", key, text)
			}
			*into = v
		}
	}
	for key, into := range map[string]*float64{"loss": &networkConditions.Loss, "dup": &networkConditions.Duplicate,
		"tail": &networkConditions.SlowTail} {
		if text, ok := d.options[key]; ok {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || v < 0 || v > 1 {
				return fmt.Errorf("network-conditions: %s=%s is not a share from 0 to 1", key, text)
			}
			*into = v
		}
	}
	w.watch.checker.AllFaulty(len(d.options) > 0)
	w.disturbAll(nil)
	w.net.SetConditions(networkConditions)
	return nil
}

// victim is a running container of a service (any, if empty), by chance.
func (w *World) victim(service string) (*host, port.ContainerStatus, bool) {
	start := w.chance.IntN(len(w.order))
	for i := range w.order {
		h := w.order[(start+i)%len(w.order)]
		if !h.on() || h.containers.Len() == 0 {
			continue
		}
		all, err := h.containers.List(background)
		if err != nil || len(all) == 0 {
			continue
		}
		from := w.chance.IntN(len(all))
		for j := range all {
			c := all[(from+j)%len(all)]
			if task := w.truth.Task(c.Task); c.State == port.ContainerRunning &&
				(service == "" || task != nil && task.Service == service) {
				return h, c, true
			}
		}
	}
	return nil, port.ContainerStatus{}, false
}

func (w *World) exitOne(d words) error {
	code := 1
	if len(d.objects) > 0 {
		n, err := strconv.Atoi(d.objects[0])
		if err != nil {
			return fmt.Errorf("exit: %q is no exit code", d.objects[0])
		}
		code = n
	}
	h, c, ok := w.victim(d.options["service"])
	if !ok {
		return fmt.Errorf("exit: no container runs")
	}
	w.note("container %s on %s exits with code %d", short(c.Task), h.name, code)
	h.exit(c.ID, code)
	return nil
}

func (w *World) breakDefinition(d words) error {
	lasts := time.Minute
	if text, ok := d.options["for"]; ok {
		v, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("fail-checks: %w", err)
		}
		lasts = v
	}
	h, c, ok := w.victim(d.options["service"])
	if !ok {
		return fmt.Errorf("fail-checks: no container runs")
	}
	w.note("task %s on %s is sick for %s", short(c.Task), h.name, lasts)
	h.faulty[c.Task] = true
	h.wakeUp()
	w.time.After(lasts, func() {
		delete(h.faulty, c.Task)
		h.wakeUp()
	})
	return nil
}

// wakeUp has a loop that sleeps through its maintenance do it.
func (h *host) wakeUp() {
	if a := h.agent; a != nil {
		a.life.After(h.w.chance.Between(0, time.Second), a.tick)
	}
}

// brokenRevision reports whether all tasks of a task's definition fail their checks.
func (w *World) brokenRevision(id fleet.TaskID) bool {
	if len(w.brokenDefs) == 0 {
		return false
	}
	t := w.truth.Task(id)
	return t != nil && w.brokenDefs[t.TaskDef]
}
