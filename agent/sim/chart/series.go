package chart

import "time"

// How is what a Series keeps of the samples of a bucket.
type How uint8

// The ways.
const (
	Mean How = iota + 1 // over time: a sample holds until the next
	Max                 // the highest that held at any moment
	Sum                 // of what was added
)

// Points is how many points a Series keeps at most: an hour each in a month of
// 30 days, and a whole number in each bar of a picture.
const Points = 6 * bars

// Series records a value over any length of time in at most Points points. A
// sample costs the same however many there are: where time goes past the span
// that was expected, each two buckets become one.
//
// Time of samples never goes back.
type Series struct {
	how     How
	bucket  time.Duration
	buckets []bucket
	last    time.Duration
	value   float64
}

// bucket is what is known of one stretch of time.
type bucket struct{ area, high, sum float64 }

// NewSeries makes an empty series for a time that is expected to last so long.
func NewSeries(how How, span time.Duration) *Series {
	return &Series{how: how, bucket: max((span+Points-1)/Points, time.Millisecond)}
}

// Set says that the value is v from a time on, until it is set again. Of Sum it
// is ignored.
func (s *Series) Set(at time.Duration, v float64) {
	s.hold(at)
	s.value = v
	b := &s.buckets[at/s.bucket]
	b.high = max(b.high, v)
}

// Add says that n things happened at a time. Only Sum shows them.
func (s *Series) Add(at time.Duration, n float64) {
	s.hold(at)
	s.buckets[at/s.bucket].sum += n
}

// hold has the value go on until a time, and makes room for it.
func (s *Series) hold(at time.Duration) {
	for at/s.bucket >= Points {
		s.halve()
	}
	for from := s.last; ; {
		i := int(from / s.bucket)
		if i == len(s.buckets) {
			s.buckets = append(s.buckets, bucket{})
		}
		b, end := &s.buckets[i], time.Duration(i+1)*s.bucket
		if held := min(end, at) - from; held > 0 {
			b.area += s.value * float64(held)
			b.high = max(b.high, s.value)
		}
		if at < end {
			break
		}
		from = end
	}
	s.last = at
}

// halve joins each two buckets to one.
func (s *Series) halve() {
	n := 0
	for i := 0; i < len(s.buckets); i += 2 {
		b := s.buckets[i]
		if i+1 < len(s.buckets) {
			o := s.buckets[i+1]
			b = bucket{b.area + o.area, max(b.high, o.high), b.sum + o.sum}
		}
		s.buckets[n] = b
		n++
	}
	s.buckets, s.bucket = s.buckets[:n], 2*s.bucket
}

// Line is what was recorded, one point a bucket, at its begin.
func (s *Series) Line(name string, colour Colour) Line {
	l := Line{Name: name, Colour: colour, Points: make([]Point, len(s.buckets))}
	for i, b := range s.buckets {
		begin := time.Duration(i) * s.bucket
		l.Points[i] = Point{begin, s.of(b, min(s.bucket, s.last-begin))}
	}
	return l
}

// of is a bucket's value, of which some time has passed.
func (s *Series) of(b bucket, passed time.Duration) float64 {
	switch {
	case s.how == Sum:
		return b.sum
	case s.how == Max || passed <= 0:
		return b.high
	}
	return b.area / float64(passed)
}
