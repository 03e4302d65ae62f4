package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"skein/raftfsm/fleet"
)

// Pressure is the share of time in which some work of this machine stalled over
// the last 10 s, in percent; on v2 without /proc/pressure, of the parent group; -1 where the
// kernel tells neither.
func (t *Tree) Pressure() fleet.Pressure {
	return fleet.Pressure{
		CPU:    t.stalled("cpu"),
		Memory: t.stalled("memory"),
		IO:     t.stalled("io"),
	}
}

func (t *Tree) stalled(resource string) int8 {
	if text, err := readPSI(filepath.Join("/proc/pressure", resource)); err == nil {
		return parsePressure(text)
	}
	if t.layout.version() == 2 {
		if text, err := readPSI(filepath.Join(t.dir("", t.parent), resource+".pressure")); err == nil {
			return parsePressure(text)
		}
	}
	return -1
}

// readPSI tells an unreadable file (no such kernel feature, or switched off at
// boot: EOPNOTSUPP on read) from an empty one.
func readPSI(name string) (string, error) {
	text, err := os.ReadFile(name)
	if err == nil && len(text) == 0 {
		err = errors.New("empty")
	}
	return string(text), err
}

// parsePressure takes "some avg10=1.23 avg60=..." to whole percent, rounded up
// so that a little is never none.
func parsePressure(text string) int8 {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, "some avg10=")
		if !ok {
			continue
		}
		value, _, _ := strings.Cut(rest, " ")
		share, err := strconv.ParseFloat(value, 64)
		if err != nil || share < 0 {
			return -1
		}
		whole := int8(min(share, 100))
		if float64(whole) < share && whole < 100 {
			whole++
		}
		return whole
	}
	return -1
}
