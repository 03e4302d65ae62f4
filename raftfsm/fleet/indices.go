package fleet

import (
	"cmp"

	"github.com/tidwall/btree"
)

// indices are derived from the tables: kept by every write, rebuilt from the
// rows when a snapshot is read and when Check compares.
type indices struct {
	hostByName *btree.Map[string, HostID] // hosts not forgotten
	hostByKey  *btree.Map[string, HostID] // hosts not forgotten, by public key

	byHost     *btree.BTreeG[*Task] // tasks with a host: held ones first, then by service and id
	byService  *btree.BTreeG[*Task] // service tasks: not stopped first, then by id
	unassigned *btree.BTreeG[*Task] // to run, without a host; see lessUnassigned
	stopped    *btree.BTreeG[*Task] // by time of stop, for Prune

	reserved *btree.Map[HostID, Resources] // sums over held tasks; no entry for none
	ports    *btree.BTreeG[PortUse]        // held by held tasks

	ofRevision *btree.Map[RevisionID, revisionCounts] // counts.go
	zones      *btree.BTreeG[zoneCounts]              //

	due           *btree.BTreeG[deadline] // due.go
	receiptsByAge *btree.BTreeG[*ReceiptRow]
	eventMemory   int // bytes in the ring of events

	serviceEventsByAge *btree.BTreeG[*Event]        // service_events.go
	serviceRings       *btree.Map[string, ringSize] // by service; no entry for none
	serviceEventMemory int                          // bytes in the rings of all services

	effectsByTime    *btree.BTreeG[*Effect] // see lessEffectTime
	effectsBySubject *btree.BTreeG[*Effect]

	targets        *btree.BTreeG[groupTask]            // tasks not STOPPED that are in a target group
	groupsByChange *btree.BTreeG[*TargetGroup]         // see lessGroupChange
	groupUsers     *btree.Map[TargetGroupName, string] // the service that names a group
	ruleUsers      *btree.Map[RuleID, string]          // the service that names a rule
	listenerPorts  *btree.Map[int, ListenerName]       // the listener that has a port

	liveDeployments  *btree.Map[string, DeploymentID] // the one of a service that has not ended
	endedDeployments *btree.BTreeG[*Deployment]       // by when they did, for Prune
}

// derived lists every index once: clones, the building of a State and Check range
// over it.
var derived = []index{
	mapIndex("hosts by name", func(x *indices) **btree.Map[string, HostID] { return &x.hostByName }),
	mapIndex("hosts by key", func(x *indices) **btree.Map[string, HostID] { return &x.hostByKey }),
	treeIndex("tasks by host", func(x *indices) **btree.BTreeG[*Task] { return &x.byHost }, lessByHost),
	treeIndex("tasks by service", func(x *indices) **btree.BTreeG[*Task] { return &x.byService }, lessByService),
	treeIndex("unassigned tasks", func(x *indices) **btree.BTreeG[*Task] { return &x.unassigned }, lessUnassigned),
	treeIndex("stopped tasks", func(x *indices) **btree.BTreeG[*Task] { return &x.stopped }, lessStopped),
	mapIndex("reserved", func(x *indices) **btree.Map[HostID, Resources] { return &x.reserved }),
	treeIndex("ports", func(x *indices) **btree.BTreeG[PortUse] { return &x.ports }, lessPort),
	mapIndex("counts by revision", func(x *indices) **btree.Map[RevisionID, revisionCounts] { return &x.ofRevision }),
	treeIndex("counts by zone", func(x *indices) **btree.BTreeG[zoneCounts] { return &x.zones }, lessZoneCounts),
	treeIndex("deadlines", func(x *indices) **btree.BTreeG[deadline] { return &x.due }, lessDeadline),
	treeIndex("events of services by age", func(x *indices) **btree.BTreeG[*Event] { return &x.serviceEventsByAge },
		lessEventAge),
	mapIndex("rings of services", func(x *indices) **btree.Map[string, ringSize] { return &x.serviceRings }),
	treeIndex("effects by time", func(x *indices) **btree.BTreeG[*Effect] { return &x.effectsByTime }, lessEffectTime),
	treeIndex("effects by subject", func(x *indices) **btree.BTreeG[*Effect] { return &x.effectsBySubject },
		lessEffectSubject),
	treeIndex("tasks by target group", func(x *indices) **btree.BTreeG[groupTask] { return &x.targets }, lessGroupTask),
	treeIndex("target groups by change", func(x *indices) **btree.BTreeG[*TargetGroup] { return &x.groupsByChange },
		lessGroupChange),
	mapIndex("services by target group", func(x *indices) **btree.Map[TargetGroupName, string] { return &x.groupUsers }),
	mapIndex("services by rule", func(x *indices) **btree.Map[RuleID, string] { return &x.ruleUsers }),
	mapIndex("live deployments", func(x *indices) **btree.Map[string, DeploymentID] { return &x.liveDeployments }),
	treeIndex("deployments that ended", func(x *indices) **btree.BTreeG[*Deployment] { return &x.endedDeployments },
		lessDeploymentEnd),
	mapIndex("listeners by port", func(x *indices) **btree.Map[int, ListenerName] { return &x.listenerPorts }),
	treeIndex("receipts by age", func(x *indices) **btree.BTreeG[*ReceiptRow] { return &x.receiptsByAge }, lessReceipt),
}

// index is what is done alike with every index.
type index struct {
	empty   func(*indices)
	copy    func(to, from *indices)
	compare func(b *violations, got, want *indices)
}

func mapIndex[K ordered, V comparable](name string, tree func(*indices) **btree.Map[K, V]) index {
	return index{
		empty: func(x *indices) { *tree(x) = new(btree.Map[K, V]) },
		copy:  func(to, from *indices) { *tree(to) = (*tree(from)).Copy() },
		compare: func(b *violations, got, want *indices) {
			gotKeys, gotValues := (*tree(got)).KeyValues()
			wantKeys, wantValues := (*tree(want)).KeyValues()
			sameList(b, name, gotKeys, wantKeys)
			sameList(b, name, gotValues, wantValues)
		},
	}
}

func treeIndex[T comparable](name string, tree func(*indices) **btree.BTreeG[T], less func(a, b T) bool) index {
	return index{
		empty: func(x *indices) { *tree(x) = unlocked(less) },
		copy:  func(to, from *indices) { *tree(to) = (*tree(from)).Copy() },
		compare: func(b *violations, got, want *indices) {
			sameList(b, name, (*tree(got)).Items(), (*tree(want)).Items())
		},
	}
}

func newIndices() indices {
	var x indices
	for i := range derived {
		derived[i].empty(&x)
	}
	return x
}

func (x *indices) copy() indices {
	to := indices{eventMemory: x.eventMemory, serviceEventMemory: x.serviceEventMemory}
	for i := range derived {
		derived[i].copy(&to, x)
	}
	return to
}

// PortUse is a host port held by a task of a host.
type PortUse struct {
	Host     HostID
	Protocol Protocol
	Port     int
	Task     TaskID
}

func lessPort(a, b PortUse) bool { return comparePorts(a, b) < 0 }

func comparePorts(a, b PortUse) int {
	if a.Host != b.Host {
		return cmp.Compare(a.Host, b.Host)
	}
	return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
}

func lessByHost(a, b *Task) bool {
	if a.Host != b.Host {
		return a.Host < b.Host
	}
	if ah, bh := a.Held(), b.Held(); ah != bh {
		return ah
	}
	if a.Service != b.Service {
		return a.Service < b.Service
	}
	return a.ID < b.ID
}

func lessByService(a, b *Task) bool {
	if a.Service != b.Service {
		return a.Service < b.Service
	}
	if as, bs := a.Stopped(), b.Stopped(); as != bs {
		return bs
	}
	return a.ID < b.ID
}

func lessUnassigned(a, b *Task) bool {
	if as, bs := a.Standalone(), b.Standalone(); as != bs {
		return bs
	}
	if c := cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.TaskDef, b.TaskDef)); c != 0 {
		return c < 0
	}
	return a.ID < b.ID
}

func lessStopped(a, b *Task) bool {
	if a.StoppedAt != b.StoppedAt {
		return a.StoppedAt < b.StoppedAt
	}
	return a.ID < b.ID
}

func lessReceipt(a, b *ReceiptRow) bool {
	if a.At != b.At {
		return a.At < b.At
	}
	return a.Token < b.Token
}

func (s *State) reserve(host HostID, r Resources) {
	sum, _ := s.reserved.Get(host)
	if sum = sum.Add(r); sum == (Resources{}) {
		s.reserved.Delete(host)
		return
	}
	s.reserved.Set(host, sum)
}

// indexHost moves a host from its old row to its new one; either may be nil.
func (s *State) indexHost(old, h *Host) {
	if old != nil && old.State != HostForgotten {
		s.hostByName.Delete(old.Name)
		s.hostByKey.Delete(old.Cert.PublicKey)
	}
	if h != nil && h.State != HostForgotten {
		s.hostByName.Set(h.Name, h.ID)
		s.hostByKey.Set(h.Cert.PublicKey, h.ID)
	}
	s.dueHost(old, h)
}

// indexListener moves a listener from its old row to its new one; either may be nil.
func (s *State) indexListener(old, l *Listener) {
	if old != nil && old.Alias == nil {
		s.listenerPorts.Delete(old.Port)
	}
	if l != nil && l.Alias == nil {
		s.listenerPorts.Set(l.Port, l.Name)
	}
}

// indexEffect moves an effect from its old row to its new one; either may be nil. Its
// subject never changes.
func (s *State) indexEffect(old, e *Effect) {
	if old != nil {
		s.effectsByTime.Delete(old)
	}
	if e == nil {
		s.effectsBySubject.Delete(old)
		return
	}
	s.effectsByTime.Set(e)
	s.effectsBySubject.Set(e)
}
