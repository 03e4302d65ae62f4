package chart

import (
	"fmt"
	"io"
	"time"

	"github.com/go-analyze/charts"
)

// Sizes in the picture's own units, of which the library draws whole ones only:
// twice as many as a wide screen has pixels hide that.
const (
	width      = 2400
	left       = 150 // room for the numbers of the axes
	right      = 60
	top        = 170 // room for title and note
	panelHead  = 70  // room for a panel's title and legend
	panelBody  = 360
	panelGap   = 60
	bottom     = 110 // room for the axis of time
	columns    = 1095
	bars       = 120 // a bar of six hours in a month of 30 days
	titleSize  = 44
	headSize   = 32
	textSize   = 26
	strokeThin = 2
)

// plotWidth is the width of the data.
const plotWidth = width - left - right

// sheet is a picture being drawn.
type sheet struct {
	*charts.Painter
	span time.Duration
}

// Draw writes a picture as SVG. It refuses what cannot be drawn, and then
// writes nothing.
func Draw(w io.Writer, m Month) error {
	if err := m.check(); err != nil {
		return err
	}
	height := top + len(m.Panels)*(panelHead+panelBody+panelGap) - panelGap + bottom
	s := &sheet{span: m.Span, Painter: charts.NewPainter(charts.PainterOptions{
		OutputFormat: charts.ChartOutputSVG, Width: width, Height: height,
	})}
	s.FilledRect(0, 0, width, height, paper, paper, 0)
	s.text(m.Title, left, 70, titleSize, ink)
	s.text(m.Note, left, 120, textSize, faint)
	for i := range m.Panels {
		if err := s.panel(&m.Panels[i], top+i*(panelHead+panelBody+panelGap)); err != nil {
			return fmt.Errorf("draw %q: panel %q: %w", m.Title, m.Panels[i].Title, err)
		}
	}
	s.dates(height - bottom)
	picture, err := s.Bytes()
	if err != nil {
		return fmt.Errorf("draw %q: %w", m.Title, err)
	}
	_, err = w.Write(picture)
	return err
}

func (s *sheet) panel(p *Panel, y int) error {
	lines := folded(p)
	colours := colours(lines)
	rows, highest := resample(p.Kind, lines, s.span)
	axis := newAxis(max(highest, p.Max), p.Max, p.Unit)
	s.head(p, lines, colours, y)
	body := y + panelHead
	s.grid(axis, body)
	if err := s.data(p.Kind, rows, colours, axis.top, body); err != nil {
		return err
	}
	s.frame(body)
	return nil
}

// data has the library draw the rows, to the edges of the frame.
func (s *sheet) data(kind Kind, rows [][]float64, colours []charts.Color, highest float64, y int) error {
	on := s.Child(charts.PainterBoxOption(charts.NewBox(left, y, left+plotWidth, y+panelBody)))
	theme := charts.GetTheme(charts.ThemeLight).WithSeriesColors(colours).WithBackgroundColor(charts.ColorTransparent)
	scale := []charts.YAxisOption{{Show: charts.Ptr(false), Min: charts.Ptr(0.0), Max: charts.Ptr(highest)}}
	if kind == Bars {
		opt := charts.NewBarChartOptionWithData(rows)
		opt.Theme, opt.Padding, opt.ValueAxis, opt.BarSize = theme, charts.BoxZero, scale, 0.86
		opt.StackSeries, opt.CategoryAxis.Show, opt.Legend.Show = charts.Ptr(true), charts.Ptr(false), charts.Ptr(false)
		return on.BarChart(opt)
	}
	opt := charts.NewLineChartOptionWithData(rows)
	opt.Theme, opt.Padding, opt.YAxis, opt.LineStrokeWidth = theme, charts.BoxZero, scale, 4
	opt.XAxis.Show, opt.Legend.Show, opt.XAxis.BoundaryGap = charts.Ptr(false), charts.Ptr(false), charts.Ptr(false)
	opt.Symbol.Shape = charts.SymbolNone
	if kind == Stack {
		opt.StackSeries, opt.LineStrokeWidth, opt.FillOpacity = charts.Ptr(true), 1, 235
	}
	return on.LineChart(opt)
}
