package wholetest

import (
	"net/http"
	"testing"
	"time"

	"tokengate/deploy/rig"
	"tokengate/redisstore/redistest"
)

// TestOneScriptPerStep counts at the server: each step is one EVALSHA, and to
// verify an access token is none.
func TestOneScriptPerStep(t *testing.T) {
	server := redistest.Standalone(t)
	c := rig.Start(t, server.URL, nil).Client()
	counter := tripCounter{t, dialRedis(t, server)}
	steps := everyStep(t, c)
	for _, s := range steps {
		s.run() // for the first time Redis is sent the script's text
	}
	for _, s := range everyStep(t, c) {
		counter.count(s.name, 1, s.run)
	}
	kept := want(t, http.StatusOK, c.Login(t.Context(), 1, "LONG", "trip"), "login")
	check := func() {
		want(t, http.StatusOK, c.Authz(t.Context(), kept.Access), "authz")
		want(t, http.StatusOK, c.Verify(t.Context(), kept.Access), "verify")
	}
	eventually(t, 5*time.Second, "the list of ended sessions is fresh", func() bool {
		before := counter.calls("evalsha")
		check()
		return counter.calls("evalsha") == before
	})
	counter.count("authz and verify", 0, func() {
		for range 50 {
			check()
		}
	})
}

// TestVerifyAsksWhereTheListIsStale shows that the count above can be another.
func TestVerifyAsksWhereTheListIsStale(t *testing.T) {
	server := redistest.Standalone(t)
	c := rig.Start(t, server.URL, rig.Settings{"REVOCATION_BOUND": "0s"}).Client()
	login := want(t, http.StatusOK, c.Login(t.Context(), 0, "LONG", "trip"), "login")
	want(t, http.StatusOK, c.Authz(t.Context(), login.Access), "authz")
	tripCounter{t, dialRedis(t, server)}.count("authz with a stale list", 1, func() {
		want(t, http.StatusOK, c.Authz(t.Context(), login.Access), "authz")
	})
}

type namedStep struct {
	name string
	run  func()
}

// everyStep gives the steps, each on tokens that no other needs.
func everyStep(t *testing.T, c *rig.Client) []namedStep {
	t.Helper()
	ctx := t.Context()
	var logins []rig.Answer
	for range 5 {
		logins = append(logins, want(t, http.StatusOK, c.Login(ctx, 0, "LONG", "trip"), "login"))
	}
	succeed := func(a rig.Answer) { t.Helper(); want(t, http.StatusOK, a, "step") }
	return []namedStep{
		{"login, which evicts", func() { succeed(c.Login(ctx, 0, "LONG", "trip")) }},
		{"refresh", func() { succeed(c.Refresh(ctx, "LONG", logins[1].Refresh)) }},
		{"retried refresh", func() { succeed(c.Refresh(ctx, "LONG", logins[1].Refresh)) }},
		{"list", func() { _, a := c.List(ctx, logins[2].Access); succeed(a) }},
		{"destroy", func() { succeed(c.Destroy(ctx, logins[2].Access, logins[3].SessionID)) }},
		{"logout", func() { succeed(c.Logout(ctx, logins[4].Refresh)) }},
		{"destroy all others", func() { succeed(c.DestroyOthers(ctx, logins[2].Access, logins[2].Refresh, "ALL")) }},
	}
}

type tripCounter struct {
	*testing.T
	*redisConn
}

func (c tripCounter) count(what string, wanted int, step func()) {
	c.T.Helper()
	sha, text := c.calls("evalsha"), c.calls("eval")
	step()
	if n := c.calls("evalsha") - sha; n != wanted {
		c.T.Errorf("%s: %d EVALSHA, want %d", what, n, wanted)
	}
	if n := c.calls("eval") - text; n != 0 {
		c.T.Errorf("%s: %d EVAL, want none", what, n)
	}
}
