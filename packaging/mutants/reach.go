package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// reach is which lines the simulator comes to. A rule that it never comes to it cannot miss, and such breaks are
// counted apart.
type reach struct {
	blocks map[string][]block // by file, as "agent/plan/plan.go"
}

// block is a stretch of statements of a coverage profile.
type block struct {
	from, to position
	ran      bool
}

type position struct{ line, column int }

func (p position) before(q position) bool {
	return p.line < q.line || p.line == q.line && p.column < q.column
}

// contains says whether the simulator runs the smallest stretch that holds the site.
func (r *reach) contains(s site) bool {
	at := position{s.Line, s.Column}
	var in block
	for _, b := range r.blocks[s.File] {
		if !at.before(b.from) && at.before(b.to) && !b.from.before(in.from) {
			in = b
		}
	}
	return in.ran
}

// reach runs the simulator, with nothing broken, for the profile of a tree; it is kept.
func (r *rig) reach(ctx context.Context) (*reach, error) {
	profile := filepath.Join(filepath.Dir(r.folder), fmt.Sprintf("reach-%s-%d", r.m.tree, r.lives))
	if _, err := os.Stat(profile); err != nil {
		fmt.Println("         which lines the simulator comes to")
		var covered []string
		for _, p := range r.m.packages {
			if drawnFrom(p.ImportPath) && r.m.simulated(p.ImportPath) {
				covered = append(covered, p.ImportPath)
			}
		}
		program, err := r.compile(ctx, simulator, "", "-cover", "-covermode=set", "-coverpkg="+strings.Join(covered, ","))
		if err != nil {
			return nil, err
		}
		r.compiled = time.Now()
		args := append(r.arguments(simulator, baseline{}), "-test.coverprofile="+profile+".part")
		o, err := bounded(ctx, r.m.dir(simulator), limits{20 * time.Minute, maxMemory}, r.environment(), program, args...)
		if err != nil {
			return nil, err
		}
		if o.failed != "" {
			return nil, fmt.Errorf("the simulator fails with nothing broken: %s\n%s", o.failed, o.said)
		}
		if err := os.Rename(profile+".part", profile); err != nil {
			return nil, err
		}
	}
	return readReach(profile)
}

func readReach(profile string) (*reach, error) {
	text, err := os.Open(profile)
	if err != nil {
		return nil, err
	}
	defer text.Close()
	r := &reach{blocks: map[string][]block{}}
	lines := bufio.NewScanner(text)
	lines.Scan() // the mode
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		var b block
		var statements, count int
		if _, err := fmt.Sscanf(rest, "%d.%d,%d.%d %d %d",
			&b.from.line, &b.from.column, &b.to.line, &b.to.column, &statements, &count); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", profile, lines.Text(), err)
		}
		b.ran = count > 0
		name = strings.TrimPrefix(name, "skein/")
		r.blocks[name] = append(r.blocks[name], b)
	}
	return r, lines.Err()
}
