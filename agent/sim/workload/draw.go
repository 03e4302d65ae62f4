package workload

import (
	"math"
	"time"

	"skein/agent/sim/virtual"
)

const (
	day  = 24 * time.Hour
	week = 7 * day

	// Never is the time of an event that does not come.
	Never = time.Duration(math.MaxInt64)
)

// weighted draws an index; weights need not sum to one, but to more than zero.
func weighted(c *virtual.Chance, weights []float64) int {
	all := 0.0
	for _, w := range weights {
		all += w
	}
	at := c.Float64() * all
	for i, w := range weights {
		if at < w {
			return i
		}
		at -= w
	}
	return len(weights) - 1
}

// logNormal draws a time with a median; sigma is of its logarithm.
func logNormal(c *virtual.Chance, median time.Duration, sigma float64) time.Duration {
	return max(bounded(float64(median)*math.Exp(sigma*c.NormFloat64())), time.Millisecond)
}

func logNormalMean(median time.Duration, sigma float64) float64 {
	return float64(median) * math.Exp(sigma*sigma/2)
}

// pareto draws a count: at least k with probability k^-alpha, most at most.
func pareto(c *virtual.Chance, alpha float64, most int) int {
	v := math.Pow(1-c.Float64(), -1/alpha)
	if v >= float64(most) {
		return most
	}
	return int(v)
}

func paretoMean(alpha float64, most int) (mean float64) {
	for k := 1; k <= most; k++ {
		mean += math.Pow(float64(k), -alpha)
	}
	return mean
}

// bounded keeps times far from the end of time.Duration, so that sums do not
// overflow.
func bounded(d float64) time.Duration { return time.Duration(min(d, float64(Never/4))) }

// sun is the time of day as -1 (03:00) to 1 (15:00).
func sun(at time.Duration) float64 {
	return math.Sin(2 * math.Pi * (float64(at%day)/float64(day) - 0.375))
}

// zipf shares total out to n ranks in proportion to rank^-exponent, at least one
// to each; what rounding leaves goes to the first. total is at least n.
func zipf(total, n int, exponent float64) []int {
	weights := make([]float64, n)
	for i := range weights {
		weights[i] = math.Pow(float64(i+1), -exponent)
	}
	sizes := make([]int, n)
	share := func(by float64) (sum int) {
		for i, w := range weights {
			sizes[i] = max(1, int(by*w))
			sum += sizes[i]
		}
		return sum
	}
	low, high := 0.0, 2*float64(total)
	for range 60 { // to the last bit of a count
		if middle := (low + high) / 2; share(middle) > total {
			high = middle
		} else {
			low = middle
		}
	}
	sizes[0] += total - share(low)
	return sizes
}
