package chart_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"skein/agent/sim/chart"
	"skein/agent/sim/virtual"
)

var out = flag.String("out", "", "where to leave the picture of the test month")

const day = 24 * time.Hour

// month is a made-up month of 1,000 hosts: days and nights, one zone lost.
func month() chart.Month {
	c := virtual.NewChance(7, "chart")
	states := series(chart.Mean, 3)
	tasks, use := series(chart.Max, 3), series(chart.Mean, 2)
	events := series(chart.Sum, 10)
	down := 0.0
	for at := time.Duration(0); at < 30*day; at += 5 * time.Minute {
		if at == 12*day+7*time.Hour {
			down = 250
		}
		down = max(0, math.Floor(down*0.99))
		sun := math.Sin(2 * math.Pi * float64(at) / float64(day))
		desired := math.Round(20_000 + 2_400*sun)
		pending := math.Floor(c.Float64()*20 + 8*down)
		for i, v := range []float64{1000 - down - 6, 6, down} {
			states[i].Set(at, v)
		}
		for i, v := range []float64{desired, desired - pending, pending} {
			tasks[i].Set(at, v)
		}
		use[0].Set(at, 60+8*sun)
		use[1].Set(at, 52+6*sun)
		for i, s := range events {
			if c.Is(0.3 / float64(i+1)) {
				s.Add(at, 1+float64(c.IntN(3)))
			}
		}
	}
	return chart.Month{
		Title: "1,000 hosts, 20,000 tasks, 30 days", Note: "seed 7 · a < b & c", Span: 30 * day,
		Panels: []chart.Panel{
			{Title: "Hosts by state", Kind: chart.Stack, Lines: []chart.Line{
				states[2].Line("silent", chart.Vermillion), states[1].Line("cordoned", chart.Orange),
				states[0].Line("ready", chart.Pale)}},
			{Title: "Tasks", Kind: chart.Lines, Lines: []chart.Line{
				tasks[0].Line("desired", chart.Blue), tasks[1].Line("running", chart.Green),
				tasks[2].Line("pending", chart.Vermillion)}},
			{Title: "Reserved of what is up", Kind: chart.Lines, Unit: "%", Max: 100, Lines: []chart.Line{
				use[0].Line("cpu", chart.Auto), use[1].Line("memory", chart.Auto)}},
			{Title: "Events", Kind: chart.Bars, Lines: named(events)},
		},
	}
}

func series(how chart.How, n int) []*chart.Series {
	all := make([]*chart.Series, n)
	for i := range all {
		all[i] = chart.NewSeries(how, 30*day)
	}
	return all
}

func named(all []*chart.Series) (lines []chart.Line) {
	for i, s := range all {
		lines = append(lines, s.Line(fmt.Sprintf("kind %d", i), chart.Auto))
	}
	return lines
}

func draw(t *testing.T, m chart.Month) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := chart.Draw(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestEqualInputGivesEqualBytes(t *testing.T) {
	if !bytes.Equal(draw(t, month()), draw(t, month())) {
		t.Error("two pictures of one month differ")
	}
}

func TestThePictureIsXMLAndHoldsEveryText(t *testing.T) {
	picture := draw(t, month())
	if *out != "" {
		if err := os.WriteFile(*out, picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	texts := textsOf(t, picture)
	for _, want := range []string{
		"1,000 hosts, 20,000 tasks, 30 days", "seed 7 · a < b & c", "Hosts by state", "Tasks",
		"Reserved of what is up", "Events per 6h", "silent", "memory", "other", "100%", "1", "30", "simulated time, days",
	} {
		if !slices.Contains(texts, want) {
			t.Errorf("%q is missing among %q", want, texts)
		}
	}
	if len(picture) > 1<<20 {
		t.Errorf("it has %d bytes: a browser wants less than a megabyte", len(picture))
	}
}

func textsOf(t *testing.T, picture []byte) (texts []string) {
	t.Helper()
	for d := xml.NewDecoder(bytes.NewReader(picture)); ; {
		switch token, err := d.Token(); {
		case errors.Is(err, io.EOF):
			return texts
		case err != nil:
			t.Fatal(err)
		default:
			if text, ok := token.(xml.CharData); ok && strings.TrimSpace(string(text)) != "" {
				texts = append(texts, string(text))
			}
		}
	}
}

func TestWhatCannotBeDrawnIsRefused(t *testing.T) {
	line := chart.Line{Name: "l", Points: []chart.Point{{At: 0, Value: 1}}}
	with := func(change func(*chart.Month)) chart.Month {
		m := chart.Month{Title: "m", Span: time.Hour,
			Panels: []chart.Panel{{Title: "p", Kind: chart.Lines, Lines: []chart.Line{line}}}}
		change(&m)
		return m
	}
	for want, m := range map[string]chart.Month{
		"it spans 0s":          with(func(m *chart.Month) { m.Span = 0 }),
		"it has 0 panels":      with(func(m *chart.Month) { m.Panels = nil }),
		`panel "p" is of kind`: with(func(m *chart.Month) { m.Panels[0].Kind = 0 }),
		"has 0 lines":          with(func(m *chart.Month) { m.Panels[0].Lines = nil }),
		"has 9 lines":          with(func(m *chart.Month) { m.Panels[0].Lines = slices.Repeat([]chart.Line{line}, 9) }),
		"NaN at 0s": with(func(m *chart.Month) {
			m.Panels[0].Lines[0].Points = []chart.Point{{Value: math.NaN()}}
		}),
		"0s comes after 1s": with(func(m *chart.Month) {
			m.Panels[0].Lines[0].Points = []chart.Point{{At: time.Second}, {}}
		}),
	} {
		var b bytes.Buffer
		if err := chart.Draw(&b, m); err == nil || !strings.Contains(err.Error(), want) || b.Len() > 0 {
			t.Errorf("got %v and %d bytes, want %q", err, b.Len(), want)
		}
	}
}

func TestAnySpanAndNoDataCanBeDrawn(t *testing.T) {
	for _, span := range []time.Duration{time.Millisecond, 3 * time.Second, 90 * time.Minute, 5 * day, 400 * day} {
		for _, kind := range []chart.Kind{chart.Lines, chart.Stack, chart.Bars} {
			draw(t, chart.Month{Span: span, Panels: []chart.Panel{{Kind: kind, Lines: []chart.Line{{Name: "nothing"}}}}})
		}
	}
}
