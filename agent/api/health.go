package api

import (
	"net/http"
	"time"

	"skein/agent/api/types"
)

// healthz says that this agent answers at all.
func (a *API) healthz(w http.ResponseWriter, _ *http.Request) { plainText(w, http.StatusOK, "ok") }

// readyz says whether this host does its work: its own parts answer, and the
// fleet is heard.
func (a *API) readyz(w http.ResponseWriter, _ *http.Request) {
	if a.Local != nil {
		if err := a.Local.Ready(); err != nil {
			plainText(w, http.StatusServiceUnavailable, "not ready: "+types.Clean(err.Error()))
			return
		}
	}
	if why := a.unheard(); why != "" {
		plainText(w, http.StatusServiceUnavailable, "not ready: "+why)
		return
	}
	plainText(w, http.StatusOK, "ready")
}

// readyzTraffic says whether this host's ingress takes new requests: what a load balancer
// in front of the hosts asks. A host that hears no voter goes on serving.
func (a *API) readyzTraffic(w http.ResponseWriter, _ *http.Request) {
	if a.Local == nil {
		plainText(w, http.StatusServiceUnavailable, "not ready: this agent serves no traffic")
		return
	}
	if err := a.Local.ServesTraffic(); err != nil {
		plainText(w, http.StatusServiceUnavailable, "not ready: "+types.Clean(err.Error()))
		return
	}
	plainText(w, http.StatusOK, "ready")
}

// unheard says why the fleet is not heard, or nothing.
func (a *API) unheard() string {
	v := a.Voter()
	if v == nil {
		if a.alone() {
			return "no voter has been heard since " + a.Local.AloneSince().UTC().Format(time.RFC3339)
		}
		return ""
	}
	if v.State().Fleet() == nil {
		return "there is no fleet yet"
	}
	if _, known := v.Leader(); !known && v.Age() > cutOffAfter {
		return "no leader has been heard for " + v.Age().Round(time.Second).String()
	}
	return ""
}

func plainText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}
