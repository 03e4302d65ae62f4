package ingress

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"syscall"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress/http1"
	"skein/runtime/ingress/route"
	"skein/runtime/ingress/upstream"
)

// attempts is how many targets a request is taken to at most.
const attempts = 3

// exchange is one request with its answer.
type exchange struct {
	choice
	client *client
	// length is how much of the client's buffer the request takes: its head, and what of its
	// body was there when it was read.
	length int

	body    body
	closing bool // the connection ends with this answer
	status  int
	took    time.Duration // until the answer began
}

// run takes the request to its end.
func (x *exchange) run() end {
	c := x.client
	served := x.find(c)
	x.closing = !c.head.KeepAlive || c.leaving.Load() || !served
	if c.head.Minor == 0 {
		return handOver
	}
	how := x.act()
	if how != handOver {
		x.tell()
	}
	return how
}

func (x *exchange) act() end {
	c := x.client
	limit := c.listener.settings.Load().bodyLimit
	x.body.begin(&c.head, c.in.rest()[x.length:], limit)
	x.length += x.body.buffered
	switch {
	case x.body.err != nil:
		x.closing = true
		return x.say(http.StatusBadRequest, x.body.err.Error())
	case x.body.over():
		x.closing = true
		return x.say(http.StatusRequestEntityTooLarge, bodyTooLarge)
	case x.rule == nil:
		return x.say(x.unruled(), noRule)
	}
	action := x.rule.Noun.Action
	if x.group != nil && !isRelayed(x.group.Noun.Protocol) {
		return handOver
	}
	x.rule.Requests.Add(1)
	switch {
	case action.Fixed != nil:
		return x.sayAll(action.Fixed.Status, action.Fixed.ContentType, action.Fixed.Body)
	case action.Redirect != nil:
		return x.redirect(action.Redirect)
	default:
		return x.forward()
	}
}

// say answers in a target's place.
func (x *exchange) say(status int, why string) end { return x.sayAll(status, "text/plain", why+"\n") }

func (x *exchange) sayAll(status int, contentType, text string) end {
	c := x.client
	x.endEarly()
	x.observe(status)
	head := string(c.head.Method) == "HEAD"
	c.out = appendAnswer(c.out[:0], status, contentType, text, x.closing, head)
	return x.sent(c.write(c.out))
}

func (x *exchange) redirect(r *fleet.Redirect) end {
	c := x.client
	x.endEarly()
	x.observe(r.Status)
	to := location(r, asked{
		scheme: string(c.says.Proto), host: string(hostOf(c.head.Host)), path: string(c.head.Path),
		query: string(c.head.Query), port: c.listener.noun.Port,
	})
	c.out = appendRedirect(c.out[:0], r.Status, to, x.closing)
	return x.sent(c.write(c.out))
}

// endEarly ends the connection with an answer that is given before the body was read.
func (x *exchange) endEarly() { x.closing = x.closing || !x.body.whole }

func (x *exchange) sent(err error) end {
	switch {
	case err != nil:
		return endNow
	case x.closing:
		return endWell
	default:
		return goOn
	}
}

// forward takes the request to targets of its group until one answers, or it is not safe to
// go on.
func (x *exchange) forward() end {
	for attempt := range attempts {
		if !x.take(x.client) {
			x.unserved(http.StatusServiceUnavailable)
			return x.say(http.StatusServiceUnavailable, noTarget)
		}
		if !isRelayed(x.group.Noun.Protocol) {
			x.target.Release()
			return handOver
		}
		how, again := x.askTarget()
		x.target.Release()
		if !again {
			return how
		}
		x.tried.Add(x.target)
		if attempt+1 < attempts {
			x.target.Series.Retries.Add(1)
		}
	}
	return x.say(http.StatusBadGateway, noAnswer)
}

// askTarget sends the request to the chosen target and its answer to the client. Again: the
// target has not taken the request, and another may be asked.
func (x *exchange) askTarget() (how end, again bool) {
	up, err := x.connect()
	if err != nil {
		x.client.engine.eject(x.target, err)
		return 0, true
	}
	how, again = x.relay(up)
	return how, again
}

func (x *exchange) connect() (*upstream.Conn, error) {
	c := x.client
	if up := x.target.Pool.Get(x.began); up != nil {
		return up, nil
	}
	ctx, cancel := context.WithTimeout(c.engine.ctx, connectTimeout)
	defer cancel()
	return x.target.Pool.Dial(ctx)
}

// relay sends the request and passes the answer on.
func (x *exchange) relay(up *upstream.Conn) (how end, again bool) {
	c := x.client
	keep := false
	defer func() {
		if keep {
			x.target.Pool.Put(up, c.engine.config.Clock.Mono())
			c.engine.tidy()
			return
		}
		_ = up.Close()
	}()
	up.Patience(goneAfter)
	if !x.body.whole {
		up.Patience(userTimeout) // a target that reads slowly acknowledges nothing either
	}
	sent, err := x.sendHead(up)
	if err != nil && sent == 0 {
		return 0, true
	}
	if !x.body.whole && err == nil {
		x.length = 0 // the pump leaves in the buffer what follows the body
		x.body.pump(c, up)
		defer x.body.end(c, up)
	}
	// Others run first: until this goroutine runs again the target has often answered, which
	// saves a read that finds nothing, and the wait after it.
	runtime.Gosched()
	a := c.takeAnswer()
	defer c.giveAnswer(a)
	began, err := x.readAnswer(up, a)
	if err != nil {
		return x.noAnswer(began, err)
	}
	keep, err = x.passAnswer(up, a)
	switch {
	case err != nil || a.head.Framing == http1.UntilClose:
		keep = false
		if err == nil {
			return endWell, false
		}
		return endNow, false
	case !x.body.end(c, up):
		keep = false // the target answered before it had the body, and may want the rest or not
		return endWell, false
	}
	if x.body.pumping != nil {
		up.Relax()
	}
	return x.sent(nil), false
}

// noAnswer says what becomes of a request whose target gave no whole head of an answer.
func (x *exchange) noAnswer(began progress, err error) (how end, again bool) {
	failed := x.body.failed()
	gone := errors.Is(err, syscall.ETIMEDOUT) // the machine: a task that takes too long is a deadline
	if gone {
		x.client.engine.eject(x.target, err)
	}
	switch {
	case began == nothing && x.mayRepeat() && (gone || !isTimeout(err)):
		return 0, true
	case errors.Is(err, errClient):
		x.observe(route.StatusClientGone)
		return endNow, false
	case errors.Is(err, errTunnelled), began == passed:
		return endNow, false // something was passed on: no other status can follow
	}
	x.closing = true
	switch {
	case x.body.over():
		return x.say(http.StatusRequestEntityTooLarge, bodyTooLarge), false
	case errors.Is(failed, http1.ErrMalformed):
		return x.say(http.StatusBadRequest, failed.Error()), false
	case failed != nil && !errors.Is(failed, errTarget):
		x.observe(route.StatusClientGone)
		return endNow, false
	case isTimeout(err):
		return x.say(http.StatusGatewayTimeout, tooLate), false
	default:
		return x.say(http.StatusBadGateway, noAnswer), false
	}
}

// mayRepeat reports whether another target may be asked what this one has been asked.
func (x *exchange) mayRepeat() bool { return x.body.whole && x.client.head.Idempotent() }

// sendHead sends the head, and what there is of the body, in one piece.
func (x *exchange) sendHead(up *upstream.Conn) (int, error) {
	c := x.client
	c.out = c.head.AppendRequest(c.out[:0], c.says)
	c.out = append(c.out, x.body.first...)
	if err := up.ExtendWrite(time.Now(), c.idle()); err != nil {
		return 0, err
	}
	return up.Write(c.out)
}

func (x *exchange) timeout() time.Duration {
	if s := x.rule.Noun.TimeoutS; s > 0 {
		return time.Duration(s) * time.Second
	}
	return answerTimeout
}

// observe notes when the answer began.
func (x *exchange) observe(status int) {
	x.status, x.took = status, x.client.engine.config.Clock.Mono()-x.began
}

// tell counts the exchange, and tells the access log.
func (x *exchange) tell() {
	if x.target != nil {
		x.target.Requests.Add(1)
		x.target.Series.Observe(x.status, x.took)
	}
	if log := x.client.engine.config.Access; log != nil && log.Wants(x.status) {
		log.Write(x.access())
	}
}
