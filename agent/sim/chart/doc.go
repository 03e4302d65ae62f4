// Package chart draws a stretch of a simulated fleet's life as one SVG: panels
// under each other over one axis of time, each a set of lines, stacked areas or
// stacked bars.
//
// It owns how things look and how much is kept of them: a Series records a month
// of samples in a few hundred points. It does not own what is worth showing:
// titles, lines and units come from the caller.
//
// Equal input gives equal bytes. Time is a time.Duration since the world began.
//
// The library draws the data and measures text; the frame around it (axes, grid,
// legend) is drawn here, so that all panels share their edges. Chosen by
// measurement: go-analyze/charts adds 2.6 MB to the program, gonum/plot, which
// holds twelve fonts and writers for PDF and TeX, 7.2 MB.
package chart
