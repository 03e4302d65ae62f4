package chart

import (
	"strconv"
	"time"

	"github.com/go-analyze/charts"
)

func (s *sheet) text(text string, x, y int, size float64, colour charts.Color) {
	s.Text(text, x, y, 0, charts.FontStyle{FontSize: size, FontColor: colour})
}

func (s *sheet) wide(text string, size float64) int {
	return s.MeasureText(text, 0, charts.FontStyle{FontSize: size, FontColor: ink}).Width()
}

func (s *sheet) line(x1, y1, x2, y2 int, colour charts.Color) {
	s.LineStroke([]charts.Point{{X: x1, Y: y1}, {X: x2, Y: y2}}, colour, strokeThin)
}

// head writes a panel's title, and its legend to the right of it.
func (s *sheet) head(p *Panel, lines []Line, colours []charts.Color, y int) {
	const square, space = 22, 44
	title := p.Title
	if p.Kind == Bars {
		title += " per " + short(s.span/bars)
	}
	s.text(title, left, y+44, headSize, ink)
	x := left + plotWidth
	for i := len(lines) - 1; i >= 0; i-- {
		x -= s.wide(lines[i].Name, textSize)
		s.text(lines[i].Name, x, y+44, textSize, ink)
		x -= square + 10
		s.FilledRect(x, y+44-square, x+square, y+44, colours[i], colours[i], 0)
		x -= space
	}
}

// grid draws what lies under the data: a line for each number and each date.
func (s *sheet) grid(a axis, y int) {
	for i := 0; i <= a.steps; i++ {
		at := y + panelBody - i*panelBody/a.steps
		label := a.label(i)
		s.text(label, left-18-s.wide(label, textSize), at+9, textSize, faint)
		if i > 0 {
			s.line(left, at, left+plotWidth, at, rule)
		}
	}
	step := dateStep(s.span)
	for at := step; at < s.span; at += step {
		s.line(s.x(at), y, s.x(at), y+panelBody, rule)
	}
}

// frame draws what lies over the data: the line it stands on.
func (s *sheet) frame(y int) {
	s.line(left, y+panelBody, left+plotWidth, y+panelBody, faint)
}

// dates writes the axis of time below the last panel.
func (s *sheet) dates(y int) {
	step := dateStep(s.span)
	title, in := "simulated time", short
	if step >= day {
		title, in = "simulated time, days", func(at time.Duration) string { return strconv.Itoa(int(at / day)) }
	}
	for at := time.Duration(0); at <= s.span; at += step {
		label := in(at)
		s.line(s.x(at), y, s.x(at), y+10, faint)
		s.text(label, s.x(at)-s.wide(label, textSize)/2, y+44, textSize, faint)
	}
	s.text(title, left+(plotWidth-s.wide(title, textSize))/2, y+90, textSize, faint)
}

// x is where a time stands.
func (s *sheet) x(at time.Duration) int {
	return left + int(float64(at)/float64(s.span)*plotWidth)
}
