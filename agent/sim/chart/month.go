package chart

import (
	"fmt"
	"math"
	"time"
)

// Month is what Draw draws; it may be any length of time.
type Month struct {
	Title  string
	Note   string        // a line below the title: seed, size, what it took
	Span   time.Duration // of the axis, from zero; what lies outside is not shown
	Panels []Panel       // from top to bottom, 1 to MaxPanels
}

// Panel is one set of lines over the axis.
type Panel struct {
	Title string
	Kind  Kind
	Unit  string  // follows the numbers of its axis: "%"
	Max   float64 // upper end of its axis; 0: as the data needs
	Lines []Line  // 1 to MaxLines of Lines; of Stack and Bars the smallest become "other"
}

// Kind is how a panel shows its lines.
type Kind uint8

// The kinds.
const (
	Lines Kind = iota + 1 // one over the other, steps: a value holds until the next
	Stack                 // areas on top of each other, the first at the bottom
	Bars                  // sums of a bucket of time, on top of each other
)

// Line is one value over time.
type Line struct {
	Name   string
	Colour Colour  // Auto: the next one of the panel
	Points []Point // in order of time; before the first the value is 0
}

// Point is a value from a time on, or, of Bars, what happened at it.
type Point struct {
	At    time.Duration
	Value float64
}

// Limits on what one picture shows.
const (
	MaxPanels = 12 // nobody scrolls further
	MaxLines  = 8  // as many colours as most people can tell apart
)

func (m *Month) check() error {
	if m.Span <= 0 {
		return fmt.Errorf("draw %q: it spans %s: a time above zero is needed", m.Title, m.Span)
	}
	if n := len(m.Panels); n == 0 || n > MaxPanels {
		return fmt.Errorf("draw %q: it has %d panels: 1 to %d are allowed", m.Title, n, MaxPanels)
	}
	for i := range m.Panels {
		if err := m.Panels[i].check(); err != nil {
			return fmt.Errorf("draw %q: panel %q %w", m.Title, m.Panels[i].Title, err)
		}
	}
	return nil
}

func (p *Panel) check() error {
	if p.Kind < Lines || p.Kind > Bars {
		return fmt.Errorf("is of kind %d: Lines, Stack and Bars are allowed", p.Kind)
	}
	if n := len(p.Lines); n == 0 || p.Kind == Lines && n > MaxLines {
		return fmt.Errorf("has %d lines: 1 to %d are allowed", n, MaxLines)
	}
	for _, l := range p.Lines {
		for i, at := range l.Points {
			if i > 0 && at.At < l.Points[i-1].At {
				return fmt.Errorf("line %q: %s comes after %s", l.Name, at.At, l.Points[i-1].At)
			}
			if math.IsNaN(at.Value) || math.IsInf(at.Value, 0) || at.Value < 0 {
				return fmt.Errorf("line %q: %v at %s is no amount", l.Name, at.Value, at.At)
			}
		}
	}
	return nil
}
