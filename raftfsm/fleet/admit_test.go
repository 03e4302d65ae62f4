package fleet

import (
	"strings"
	"testing"
)

func TestAdmitHost(t *testing.T) {
	admit := func(n int) AdmitHost {
		return AdmitHost{Token: "one", SecretHash: blob(32), Host: admission(n)}
	}
	ready := func(t *testing.T) *world {
		w := fleetOf(t, 1)
		w.must(PutToken{ID: "one", TokenKind: TokenJoin, Hash: blob(32), Uses: 1, NotAfter: w.at + 1000})
		return w
	}
	t.Run("spends the token and makes a joining host", func(t *testing.T) {
		w := ready(t)
		if ids := w.must(admit(2)); ids[0] != string(hostID(2)) {
			t.Errorf("ids %v", ids)
		}
		if h := w.HostByName("h2"); h.State != HostJoining || h.Reachable() != true || h.Placeable() {
			t.Errorf("host %+v", h)
		}
		if tok := w.Token("one"); tok.Uses != 0 || tok.UsedAt != w.at {
			t.Errorf("token %+v", tok)
		}
		w.refused(admit(3), ErrTokenRefused, "used up")
	})
	t.Run("gives the same token and key the same answer, even after it expired", func(t *testing.T) {
		w := ready(t)
		w.must(admit(2))
		w.wait(10_000)
		again := admit(2)
		again.Host.ID = "h-another"
		before := w.fingerprint()
		if ids := w.must(again); ids[0] != string(hostID(2)) || len(before) != len(w.fingerprint()) {
			t.Errorf("ids %v", ids)
		}
	})
	t.Run("is refused with an expired token", func(t *testing.T) {
		w := ready(t)
		w.wait(1000)
		w.refused(admit(2), ErrTokenRefused, "expired")
	})
	t.Run("is refused with a wrong secret, like with an unknown token", func(t *testing.T) {
		w := ready(t)
		wrong, unknown := admit(2), admit(2)
		wrong.SecretHash = append(blob(31), 1)
		unknown.Token = "two"
		if a, b := w.do(wrong).Err.Error(), w.do(unknown).Err.Error(); a != b || !strings.Contains(a, "no such") {
			t.Errorf("%q, %q", a, b)
		}
	})
	t.Run("is refused with an operator token", func(t *testing.T) {
		w := ready(t)
		w.must(PutToken{ID: "op", TokenKind: TokenOperator, Hash: blob(32), NotAfter: w.at + 1000})
		c := admit(2)
		c.Token = "op"
		w.refused(c, ErrTokenRefused, "no such join token")
	})
	t.Run("is refused when another host has the name", func(t *testing.T) {
		w := ready(t)
		c := admit(2)
		c.Host.Name = "h1"
		w.refused(c, ErrNameTaken, string(hostID(1)))
	})
	t.Run("keeps the identity of a known key that joins anew", func(t *testing.T) {
		w := ready(t)
		w.must(admit(2))
		w.must(RevokeCert{Host: hostID(2)})
		w.refused(session(2, 1), ErrConflict, "revoked")
		w.must(PutToken{ID: "two", TokenKind: TokenJoin, Hash: blob(32), Uses: 1, NotAfter: w.at + 1000})
		c := admit(2)
		c.Token, c.Host.ID, c.Host.Name = "two", "h-another", "h2b"
		if ids := w.must(c); ids[0] != string(hostID(2)) {
			t.Errorf("ids %v", ids)
		}
		if w.HostByName("h2") != nil || w.HostByName("h2b").Cert.Revoked {
			t.Errorf("host %+v", w.Host(hostID(2)))
		}
		w.must(session(2, 1))
		w.checked()
	})
	t.Run("frees the name of a forgotten host, and never its identity", func(t *testing.T) {
		w := ready(t)
		w.must(admit(2))
		w.must(ForgetHost{Host: hostID(2)})
		w.refused(admit(2), ErrTokenRefused, "forgotten")
		w.must(PutToken{ID: "two", TokenKind: TokenJoin, Hash: blob(32), Uses: 5, NotAfter: w.at + 1000})
		c := admit(2)
		c.Token = "two"
		w.refused(c, ErrExists, string(hostID(2)))
		c.Host.ID = "h-new"
		w.must(c)
		if w.HostByName("h2").ID != "h-new" || w.HostByKey("key2").ID != "h-new" {
			t.Errorf("host %+v", w.HostByName("h2"))
		}
		w.checked()
	})
}
