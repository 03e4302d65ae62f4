package simlog

// Held is how many entries, States and terms a log keeps in memory.
func (l *Log) Held() (n int) {
	n = len(l.past.list)
	for _, node := range l.order {
		n += len(node.entries.list) + len(node.disk.log.list) + len(node.configs) + node.disk.pending() + len(
			node.leading.waiting)
	}
	return n
}
