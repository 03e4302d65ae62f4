package deployment

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/text"
	"skein/raftfsm/fleet/wire"
)

// KindQuery is the kind of effects that ask a Prometheus server for an alarm. Their role
// is any voter.
const KindQuery = "query"

// Query is the input of an effect that asks a Prometheus server.
type Query struct {
	URL   string `cbor:"1,keyasint"` // of the server, without /api/v1/query
	Query string `cbor:"2,keyasint"`
}

// QueryInput is the input of a question for an alarm.
func QueryInput(a *fleet.Alarm) ([]byte, error) {
	return wire.Marshal(Query{URL: a.URL, Query: a.Query})
}

// ReadQuery is the inverse of QueryInput.
func ReadQuery(input []byte) (q Query, err error) { return q, wire.Unmarshal(input, &q) }

// Numbers is the outcome of a query: the least and the most of the numbers that came, or
// why there are none.
type Numbers struct {
	Count int     `cbor:"1,keyasint"`
	Least float64 `cbor:"2,keyasint"`
	Most  float64 `cbor:"3,keyasint"`
	Why   string  `cbor:"4,keyasint,omitempty"` // there are none, for people
}

// NoNumbers is the outcome of a query that gave none.
func NoNumbers(why string) Numbers { return Numbers{Why: text.Cut(text.Clean(why), maxWhy)} }

// Encode is the outcome of an effect.
func (n Numbers) Encode() ([]byte, error) { return wire.Marshal(n) }

// ReadNumbers is the inverse of Encode; what cannot be read holds no numbers.
func ReadNumbers(outcome []byte) Numbers {
	var n Numbers
	if err := wire.Unmarshal(outcome, &n); err != nil {
		return NoNumbers("its runner's outcome cannot be read: " + err.Error())
	}
	if n.Count <= 0 || math.IsNaN(n.Least) || math.IsNaN(n.Most) {
		return NoNumbers(n.Why)
	}
	return n
}

// Judge says what an answer means to an alarm, and in words: "0.31 > 0.05". Of several
// numbers the worst counts. Without a number it is AlarmInsufficientData.
func (n Numbers) Judge(a *fleet.Alarm) (status fleet.AlarmStatus, answer string) {
	if n.Count <= 0 {
		return fleet.AlarmInsufficientData, n.Why
	}
	number, sign := n.Least, "<"
	if a.Above {
		number, sign = n.Most, ">"
	}
	status = fleet.AlarmOK
	if a.Above && number > a.Threshold || !a.Above && number < a.Threshold {
		status = fleet.AlarmFires
	} else {
		sign = "not " + sign
	}
	return status, fmt.Sprintf("%s %s %s", short(number), sign, short(a.Threshold))
}

func short(f float64) string { return strconv.FormatFloat(f, 'g', 5, 64) }

// ParseNumbers reads the answer of a Prometheus server to an instant query: a scalar, or
// a vector. Numbers that are none (NaN) are left out. Source: Prometheus, HTTP API.
func ParseNumbers(body []byte) Numbers {
	if _, err := strictjson.Parse(body, MaxAnswer); err != nil {
		return NoNumbers("the answer cannot be read: " + err.Error())
	}
	var answer struct {
		Status, Error string
		Data          struct {
			ResultType string
			Result     json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return NoNumbers(fmt.Sprintf("the answer is no JSON of Prometheus: %s", shown(body)))
	}
	if answer.Status != "success" {
		return NoNumbers("the server says " + shown([]byte(answer.Error)))
	}
	switch answer.Data.ResultType {
	case "scalar":
		var value sample
		if err := json.Unmarshal(answer.Data.Result, &value); err != nil {
			return NoNumbers("the answer is no scalar: " + shown(answer.Data.Result))
		}
		return numbers([]sample{value})
	case "vector":
		var vector []struct{ Value sample }
		if err := json.Unmarshal(answer.Data.Result, &vector); err != nil {
			return NoNumbers("the answer is no vector: " + shown(answer.Data.Result))
		}
		values := make([]sample, len(vector))
		for i, v := range vector {
			values[i] = v.Value
		}
		return numbers(values)
	default:
		return NoNumbers(fmt.Sprintf("the query gives a %q; a scalar or a vector is needed",
			shown([]byte(answer.Data.ResultType))))
	}
}

// sample is [time, "number"].
type sample [2]any

func numbers(values []sample) Numbers {
	var n Numbers
	for _, v := range values {
		written, _ := v[1].(string)
		f, err := strconv.ParseFloat(written, 64)
		if err != nil || math.IsNaN(f) {
			continue
		}
		if n.Count == 0 {
			n.Least, n.Most = f, f
		}
		n.Count++
		n.Least, n.Most = min(n.Least, f), max(n.Most, f)
	}
	if n.Count == 0 {
		return NoNumbers("no number came of the query")
	}
	return n
}
