package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"skein/agent/api/types"
	"skein/agent/api/view"
	"skein/raftfsm/fleet"
)

// serveEvents streams the fleet's events as server-sent events, and the index whenever
// State changes. Each watcher reads events out of State itself, so nothing is queued for
// it. A slow watcher is ended with the number to resume from; one that was away gets
// what it missed, as far as State still has it.
func (a *API) serveEvents(trust Trust, w http.ResponseWriter, r *http.Request) {
	after, given, err := resumeFrom(r)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	v := a.Voter()
	if v == nil {
		a.streamAsWorker(trust, w, r)
		return
	}
	s := &stream{api: a, w: w, out: http.NewResponseController(w), voter: v, service: r.URL.Query().Get("service"),
		wake: make(chan struct{}, 1)}
	cancel := v.Subscribe(func(uint64, fleet.ChangeSet) { s.nudge() })
	defer cancel()
	a.metrics.watchers.Inc()
	defer a.metrics.watchers.Dec()
	if s.last = v.State().LastEvent(); given {
		s.last = min(after, s.last)
	}
	s.begin(w)
	if r.Method != http.MethodHead {
		s.run(r)
	}
}

// resumeFrom reads where a watcher wants to go on.
func resumeFrom(r *http.Request) (after uint64, given bool, err error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("after")
	}
	if text == "" {
		return 0, false, nil
	}
	after, err = strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, false, &fleet.FieldError{Field: "after", Why: "the number of an event, 0 for the oldest kept"}
	}
	return after, true, nil
}

// streamAsWorker passes a voter's stream through. With no voter it says so in
// the stream's own words, and lets the watcher come again.
func (a *API) streamAsWorker(trust Trust, w http.ResponseWriter, r *http.Request) {
	err := errNobody
	if a.Forward != nil && hops(r, trust) == 0 {
		err = a.Forward.Forward(w, a.outgoing(r, nil, trust, requestTime, "", true), false)
	}
	if err == nil {
		return
	}
	a.metrics.cutOffReads.Inc()
	s := &stream{api: a, w: w, out: http.NewResponseController(w)}
	s.begin(w)
	s.send("cut-off", "", map[string]string{"message": "this host hears no voter"})
	s.flush()
}

// stream is one watcher.
type stream struct {
	api   *API
	w     http.ResponseWriter
	out   *http.ResponseController
	voter Voter
	wake  chan struct{}
	// service is the one whose events alone are sent; empty for all.
	service string
	last    uint64 // the newest event seen
	index   uint64 // the newest index sent
	err     error  // the first write that failed
}

func (s *stream) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *stream) begin(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no")
	h.Set("Connection", "close") // its write deadline must not meet another request
	w.WriteHeader(http.StatusOK)
	s.print("retry: 3000\n\n")
	s.flush()
}

// run sends until the watcher goes, is too slow, or this host is no voter any
// more.
func (s *stream) run(r *http.Request) {
	beat := time.NewTicker(heartbeatEvery)
	defer beat.Stop()
	s.nudge()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			if s.api.Voter() != s.voter {
				return
			}
			s.print(": still here\n\n")
			s.flush()
		case <-s.wake:
			if !s.catchUp() {
				return
			}
			// States move faster than people read: the next look waits a little.
			select {
			case <-r.Context().Done():
				return
			case <-time.After(stateEvery):
			}
		}
		if s.err != nil {
			return
		}
	}
}

// catchUp sends all that is new, batch by batch, and reports whether the
// watcher keeps up.
func (s *stream) catchUp() bool {
	for {
		st := s.voter.State()
		begin := s.api.Now()
		more := s.batch(st)
		if !more && st.Index() != s.index {
			s.index = st.Index()
			s.send("state", "", types.Meta{Index: s.index, StaleMs: s.voter.Age().Milliseconds()})
		}
		s.flush()
		if s.err != nil {
			return false
		}
		if s.api.Now().Sub(begin) > slowWrite {
			s.send("resume", strconv.FormatUint(s.last, 10), map[string]uint64{"resumeFrom": s.last})
			s.flush()
			s.api.metrics.watchersCut.Inc()
			return false
		}
		if !more {
			return true
		}
	}
}

// batch sends a bounded number of events and reports whether there are more.
func (s *stream) batch(st *fleet.State) (more bool) {
	n := 0
	for e := range st.EventsAfter(s.last) {
		if n == eventBatch {
			return true
		}
		if n == 0 && e.Seq > s.last+1 {
			s.send("gap", "", map[string]uint64{"from": s.last + 1, "to": e.Seq - 1})
		}
		n++
		s.last = e.Seq
		if s.service != "" && e.Subject != fleet.ServiceSubject(s.service) {
			continue
		}
		s.send("event", strconv.FormatUint(e.Seq, 10), view.EventOf(e))
	}
	return false
}

func (s *stream) send(event, id string, data any) {
	body, err := json.Marshal(data)
	if err != nil {
		panic("api: an event cannot be encoded: " + err.Error())
	}
	s.print("event: %s\n", event)
	if id != "" {
		s.print("id: %s\n", id)
	}
	s.print("data: %s\n\n", body)
}

func (s *stream) print(format string, args ...any) {
	if s.err != nil {
		return
	}
	// Not every writer has deadlines; those that do not cannot hang either.
	_ = s.out.SetWriteDeadline(time.Now().Add(writeTime))
	_, s.err = fmt.Fprintf(s.w, format, args...)
}

func (s *stream) flush() {
	if s.err == nil {
		s.err = s.out.Flush()
	}
}
