package placement

// zoneCapacity orders the placeable hosts of one zone: a heap, most free first,
// that knows where each host stands. (container/heap would box every index.)
type zoneCapacity struct {
	name  string
	hosts []hostCapacity // rooms.hosts
	heap  []int32
}

func (z *zoneCapacity) empty() bool { return len(z.heap) == 0 }

// top is the host with most free.
func (z *zoneCapacity) top() *hostCapacity { return &z.hosts[z.heap[0]] }

func (z *zoneCapacity) pop() int32 {
	i := z.heap[0]
	z.remove(0)
	return i
}

func (z *zoneCapacity) push(i int32) {
	z.heap = append(z.heap, i)
	z.up(int32(len(z.heap) - 1))
}

// remove takes the host at a place of the heap off it.
func (z *zoneCapacity) remove(at int32) {
	last := int32(len(z.heap) - 1)
	gone := z.heap[at]
	z.set(at, z.heap[last])
	z.heap = z.heap[:last]
	if at < last {
		z.down(at)
		z.up(at)
	}
	z.hosts[gone].at = -1
}

func (z *zoneCapacity) set(at, i int32) {
	z.heap[at] = i
	z.hosts[i].at = at
}

func (z *zoneCapacity) less(i, j int32) bool {
	if z.hosts[i].score != z.hosts[j].score {
		return z.hosts[i].score > z.hosts[j].score
	}
	return i < j
}

func (z *zoneCapacity) up(at int32) {
	i := z.heap[at]
	for at > 0 {
		parent := (at - 1) / 2
		if !z.less(i, z.heap[parent]) {
			break
		}
		z.set(at, z.heap[parent])
		at = parent
	}
	z.set(at, i)
}

func (z *zoneCapacity) down(at int32) {
	i := z.heap[at]
	for {
		child := 2*at + 1
		if int(child) >= len(z.heap) {
			break
		}
		if right := child + 1; int(right) < len(z.heap) && z.less(z.heap[right], z.heap[child]) {
			child = right
		}
		if !z.less(z.heap[child], i) {
			break
		}
		z.set(at, z.heap[child])
		at = child
	}
	z.set(at, i)
}
