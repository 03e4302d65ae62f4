package api

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"skein/agent/api/refusal"
	"skein/agent/api/types"
	"skein/runtime/seam/connlimit"
)

// guard is what every request passes first: headers that keep browsers from
// doing harm, and refusals of requests that browsers were tricked into.
func (a *API) guard(trust Trust, next http.Handler) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	crossOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.writeError(w, r, refusal.New(http.StatusForbidden, "cross-origin", "a page of another site may not write here",
			"use the skein command, or a client that is no browser"))
	}))
	return crossOrigin.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		if trust == TrustNone && !a.hostAllowed(r.Host) {
			a.writeError(w, r, refusal.New(http.StatusMisdirectedRequest, "host", "the Host header names "+types.Clean(r.Host)+
				", which is not a name of this host", "use its address, or allow the name in the agent's configuration"))
			return
		}
		next.ServeHTTP(w, r)
	}))
}

func secure(h http.Header) {
	h.Set("Content-Security-Policy",
		"default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// hostAllowed refuses names that a stranger's DNS could point at this host
// (rebinding). Addresses are safe: no DNS is asked for them.
func (a *API) hostAllowed(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return name == "localhost" || name == strings.ToLower(a.Name) ||
		slices.ContainsFunc(a.AllowedHosts, func(allowed string) bool {
			return strings.EqualFold(allowed, name)
		})
}

// caller names who is counted for a request; voters speak for many.
func caller(r *http.Request, trust Trust) string {
	switch trust {
	case TrustRoot:
		return "root"
	case TrustVoter:
		return ""
	case TrustNone, TrustToken:
	}
	if source := connlimit.SourceOfText(r.RemoteAddr); source.IsValid() {
		return source.String()
	}
	return r.RemoteAddr
}
