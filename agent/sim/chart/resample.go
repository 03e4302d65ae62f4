package chart

import (
	"cmp"
	"slices"
	"time"
)

// folded are the lines that a panel shows: of sums, the smallest become one
// where there are too many to tell apart. Order stays.
func folded(p *Panel) []Line {
	if len(p.Lines) <= MaxLines {
		return p.Lines
	}
	total := func(l Line) (sum float64) {
		for _, at := range l.Points {
			sum += at.Value
		}
		return sum
	}
	bySize := make([]int, len(p.Lines))
	for i := range bySize {
		bySize[i] = i
	}
	slices.SortStableFunc(bySize, func(a, b int) int { return cmp.Compare(total(p.Lines[b]), total(p.Lines[a])) })
	kept, rest := bySize[:MaxLines-1], bySize[MaxLines-1:]
	slices.Sort(kept)
	var lines, others []Line
	for _, i := range kept {
		lines = append(lines, p.Lines[i])
	}
	for _, i := range rest {
		others = append(others, p.Lines[i])
	}
	return append(lines, Line{Name: "other", Colour: Grey, Points: sum(p.Kind, others)})
}

// sum adds lines up: at each time at which one of them changes.
func sum(kind Kind, lines []Line) []Point {
	type change struct {
		Point
		line int
	}
	var changes []change
	for i, l := range lines {
		for _, p := range l.Points {
			changes = append(changes, change{p, i})
		}
	}
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(a.At, b.At) })
	points, now, all := make([]Point, 0, len(changes)), make([]float64, len(lines)), 0.0
	for _, c := range changes {
		if kind == Bars {
			points = append(points, c.Point)
			continue
		}
		all += c.Value - now[c.line]
		now[c.line] = c.Value
		points = append(points, Point{c.At, max(all, 0)})
	}
	return points
}

// resample brings lines to the times that are drawn, and finds how high their
// panel reaches.
func resample(kind Kind, lines []Line, span time.Duration) (rows [][]float64, highest float64) {
	for _, l := range lines {
		if kind == Bars {
			rows = append(rows, sums(l.Points, span))
		} else {
			rows = append(rows, steps(l.Points, span))
		}
	}
	for i := range rows[0] {
		all := 0.0
		for _, row := range rows {
			if kind == Lines {
				highest = max(highest, row[i])
			}
			all += row[i]
		}
		if kind != Lines {
			highest = max(highest, all)
		}
	}
	return rows, highest
}

// steps holds each value until the next; of several within one column the
// highest is shown, so that no peak gets lost.
func steps(points []Point, span time.Duration) []float64 {
	row, now := make([]float64, columns+1), 0.0
	for i := range row {
		from, peak := time.Duration(i)*(span/columns), now
		for n := 0; len(points) > 0 && points[0].At <= from; n++ {
			now = points[0].Value
			if n == 0 || now > peak {
				peak = now
			}
			points = points[1:]
		}
		row[i] = peak
	}
	return row
}

// sums adds up what happened in each bar's time.
func sums(points []Point, span time.Duration) []float64 {
	row := make([]float64, bars)
	for _, p := range points {
		if p.At >= 0 && p.At < span {
			row[min(int(float64(p.At)/float64(span)*bars), bars-1)] += p.Value
		}
	}
	return row
}
