package e2e

import (
	"net/http"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// TestRoundTripsPerStep checks, by Redis's own counts, that each step is one EVALSHA, and that
// the verification of an access token needs no command. A login has five more: before its
// password is compared, two at once count the attempt, and one asks whether the store can
// write; two at once, with the step itself, end the attempt.
func TestRoundTripsPerStep(t *testing.T) {
	server := redistest.Standalone(t)
	c := gatewaytest.Start(t, server.URL, nil).Client()
	for _, s := range everyStep(t, c) {
		s.run() // Redis gets the text of each script once, with EVAL
	}
	for _, s := range everyStep(t, c) {
		checkScriptCalls(t, server, s.name, s.scripts, s.run)
	}
	login := requireStatus(t, http.StatusOK, c.Login(t.Context(), 1, "LONG", "trip"), "login")
	verify := func() {
		requireStatus(t, http.StatusOK, c.Authz(t.Context(), login.Access), "authz")
		requireStatus(t, http.StatusOK, c.Verify(t.Context(), login.Access), "verify")
	}
	gatewaytest.WaitUntil(t, 5*time.Second, "the revocation list is up to date", func() bool {
		before := commandCalls(t, server, "evalsha")
		verify()
		return commandCalls(t, server, "evalsha") == before
	})
	checkScriptCalls(t, server, "authz and verify", 0, func() {
		for range 50 {
			verify()
		}
	})
}

// TestStaleRevocationListCostsRoundTrip checks that the verification of an access token
// asks Redis if the revocation list is older than REVOCATION_BOUND allows.
func TestStaleRevocationListCostsRoundTrip(t *testing.T) {
	server := redistest.Standalone(t)
	c := gatewaytest.Start(t, server.URL, gatewaytest.Settings{"REVOCATION_BOUND": "0s"}).Client()
	login := requireStatus(t, http.StatusOK, c.Login(t.Context(), 0, "LONG", "trip"), "login")
	requireStatus(t, http.StatusOK, c.Authz(t.Context(), login.Access), "authz")
	checkScriptCalls(t, server, "authz with a stale list", 1, func() {
		requireStatus(t, http.StatusOK, c.Authz(t.Context(), login.Access), "authz")
	})
}

type namedStep struct {
	name    string
	scripts int // how many it runs
	run     func()
}

// everyStep creates sessions and returns one step of each kind, to be run in this order.
// No step spends or revokes the tokens of a later one.
func everyStep(t *testing.T, c *gatewaytest.Client) []namedStep {
	t.Helper()
	ctx := t.Context()
	var logins []gatewaytest.Response
	for range 5 {
		logins = append(logins, requireStatus(t, http.StatusOK, c.Login(ctx, 0, "LONG", "trip"), "login"))
	}
	succeed := func(resp gatewaytest.Response) { t.Helper(); requireStatus(t, http.StatusOK, resp, "step") }
	return []namedStep{
		{"login, which evicts", 6, func() { succeed(c.Login(ctx, 0, "LONG", "trip")) }},
		{"refresh", 1, func() { succeed(c.Refresh(ctx, "LONG", logins[1].Refresh)) }},
		{"retried refresh", 1, func() { succeed(c.Refresh(ctx, "LONG", logins[1].Refresh)) }},
		{"list", 1, func() { _, resp := c.List(ctx, logins[2].Access); succeed(resp) }},
		{"destroy", 1, func() { succeed(c.Destroy(ctx, logins[2].Access, logins[3].SessionID)) }},
		{"logout", 1, func() { succeed(c.Logout(ctx, logins[4].Refresh)) }},
		{"destroy all others", 1, func() { succeed(c.DestroyOthers(ctx, logins[2].Access, logins[2].Refresh, "ALL")) }},
	}
}

// checkScriptCalls checks how many EVALSHA a step causes, and that it causes no EVAL.
func checkScriptCalls(t *testing.T, server *redistest.Server, name string, want int, step func()) {
	t.Helper()
	evalsha, eval := commandCalls(t, server, "evalsha"), commandCalls(t, server, "eval")
	step()
	if n := commandCalls(t, server, "evalsha") - evalsha; n != want {
		t.Errorf("%s: got %d EVALSHA, want %d", name, n, want)
	}
	if n := commandCalls(t, server, "eval") - eval; n != 0 {
		t.Errorf("%s: got %d EVAL, want 0", name, n)
	}
}
