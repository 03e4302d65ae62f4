package runner

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"skein/agent/deployment"
	"skein/agent/effects"
)

// query asks a Prometheus server once.
func (r *runners) query(ctx context.Context, job effects.Job) effects.Answer {
	in, err := deployment.ReadQuery(job.Input)
	if err != nil {
		return numbers(deployment.NoNumbers("its question cannot be read: " + err.Error()))
	}
	if why, retry := r.refused(in.URL); retry != nil {
		return *retry
	} else if why != "" {
		return numbers(deployment.NoNumbers(why))
	}
	address, err := url.JoinPath(in.URL, "api", "v1", "query")
	if err != nil {
		return numbers(deployment.NoNumbers("its address: " + clean(err).Error()))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"?query="+url.QueryEscape(in.Query), nil)
	if err != nil {
		return numbers(deployment.NoNumbers("its address: " + clean(err).Error()))
	}
	request.Header.Set("Accept", "application/json")
	answer, retry := r.call(request)
	switch {
	case retry != nil:
		return *retry
	case answer.redirects():
		return numbers(deployment.NoNumbers(fmt.Sprintf("it redirects to %s, which is not followed", answer.location)))
	case answer.status == http.StatusOK, answer.status == http.StatusBadRequest,
		answer.status == http.StatusUnprocessableEntity: // the last two say what is wrong with the query
		return numbers(deployment.ParseNumbers(answer.body))
	}
	return numbers(deployment.NoNumbers(fmt.Sprintf("status %d %s", answer.status, http.StatusText(answer.status))))
}

func numbers(n deployment.Numbers) effects.Answer { return done(n.Encode()) }
