package chart

import "github.com/go-analyze/charts"

// Colour is one of eight that people with any kind of colour vision can tell
// apart. Source: Okabe and Ito, Color Universal Design, 2008; their black is a
// grey here, since it has to be an area too.
type Colour uint8

// The colours, in the order in which Auto takes them.
const (
	Auto Colour = iota
	Blue
	Orange
	Green
	Vermillion
	Sky
	Purple
	Yellow
	Grey
	Pale // what is as it should be, so that the rest is seen; never taken by Auto
)

var palette = [...]charts.Color{
	Blue:       rgb(0x00, 0x72, 0xb2),
	Orange:     rgb(0xe6, 0x9f, 0x00),
	Green:      rgb(0x00, 0x9e, 0x73),
	Vermillion: rgb(0xd5, 0x5e, 0x00),
	Sky:        rgb(0x56, 0xb4, 0xe9),
	Purple:     rgb(0xcc, 0x79, 0xa7),
	Yellow:     rgb(0xf0, 0xe4, 0x42),
	Grey:       rgb(0x99, 0x99, 0x99),
	Pale:       rgb(0xcf, 0xe3, 0xdc),
}

// The colours of everything but data.
var (
	paper = rgb(0xff, 0xff, 0xff)
	ink   = rgb(0x22, 0x22, 0x22)
	faint = rgb(0x70, 0x70, 0x70)
	rule  = rgb(0xe4, 0xe4, 0xe4)
)

func rgb(r, g, b uint8) charts.Color { return charts.Color{R: r, G: g, B: b, A: 255} }

// colours gives each line one, at most MaxLines: those that ask get theirs, the
// others what is left, in order.
func colours(lines []Line) []charts.Color {
	taken := map[Colour]bool{}
	for _, l := range lines {
		taken[l.Colour] = true
	}
	all, next := make([]charts.Color, len(lines)), Blue
	for i, l := range lines {
		c := l.Colour
		if c == Auto || int(c) >= len(palette) {
			for taken[next] && next < Grey {
				next++
			}
			c = next
			taken[c] = true
		}
		all[i] = palette[c]
	}
	return all
}
