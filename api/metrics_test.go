package api_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"tokengate/api/wiretest"
	"tokengate/session"
)

func TestMetrics(t *testing.T) {
	g := newGateway(t, options{})
	refresh, access, _ := g.login(t)
	g.login(t)
	_, _, id := g.login(t)
	do(g.admin, "DELETE", "/admin/apps/wire/users/1/sessions/"+id, "", "Authorization: Bearer "+wiretest.AdminToken)
	for range 2 {
		g.do("POST", "/api/session/refresh/", refreshBody(refresh))
	}
	g.do("POST", "/api/session/refresh/", refreshBody("garbage"))
	g.do("POST", "/api/session/destroyAllOther/", `{"session":"LONG","refresh":"`+refresh+`"}`, "Authorization: JWT "+access)
	g.do("POST", "/api/session/logout/", `{"secret_key":"`+wiretest.Secret+`","refresh":"`+refresh+`"}`)
	g.do("GET", "/nowhere", "")
	const want = `
# HELP tokengate_requests_in_flight Requests in progress.
# TYPE tokengate_requests_in_flight gauge
tokengate_requests_in_flight 0
# HELP tokengate_requests_total Requests answered, by endpoint and result code.
# TYPE tokengate_requests_total counter
tokengate_requests_total{code="not_found",endpoint="none"} 1
tokengate_requests_total{code="ok",endpoint="destroy_others"} 1
tokengate_requests_total{code="ok",endpoint="admin_end"} 1
tokengate_requests_total{code="ok",endpoint="login"} 3
tokengate_requests_total{code="ok",endpoint="logout"} 1
tokengate_requests_total{code="ok",endpoint="refresh"} 1
tokengate_requests_total{code="retried",endpoint="refresh"} 1
tokengate_requests_total{code="unknown",endpoint="refresh"} 1
# HELP tokengate_sessions_begun_total Sessions created, by app and type.
# TYPE tokengate_sessions_begun_total counter
tokengate_sessions_begun_total{app="wire",type="LONG"} 3
# HELP tokengate_sessions_ended_total Sessions revoked, by app, type (empty if the step names no type) and cause.
# TYPE tokengate_sessions_ended_total counter
tokengate_sessions_ended_total{app="wire",cause="logout",type="LONG"} 1
tokengate_sessions_ended_total{app="wire",cause="operator",type=""} 1
tokengate_sessions_ended_total{app="wire",cause="others",type=""} 1
`
	names := []string{"tokengate_requests_in_flight", "tokengate_requests_total", "tokengate_sessions_begun_total", "tokengate_sessions_ended_total"}
	if err := testutil.GatherAndCompare(g.registry, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
	served := do(g.admin, "GET", "/metrics", "").Body.Bytes()
	if !bytes.Contains(served, []byte(`tokengate_request_seconds_count{endpoint="refresh"} 3`)) {
		t.Errorf("the histogram of refresh is missing: %s", served)
	}
}

// TestManyRevoked checks the metric, the log line and the answer for operators if a store does
// not name the sessions that it revokes.
func TestManyRevoked(t *testing.T) {
	g := newGateway(t, options{})
	g.store.many.Store(true)
	refresh, access, _ := g.login(t)
	for range 3 {
		g.login(t)
	}
	w := g.do("POST", "/api/session/destroyAllOther/", `{"session":"LONG","refresh":"`+refresh+`"}`, "Authorization: JWT "+access)
	expect(t, w, 200, `{}`)
	const want = `
# HELP tokengate_sessions_ended_total Sessions revoked, by app, type (empty if the step names no type) and cause.
# TYPE tokengate_sessions_ended_total counter
tokengate_sessions_ended_total{app="wire",cause="others",type=""} 3
`
	if err := testutil.GatherAndCompare(g.registry, strings.NewReader(want), "tokengate_sessions_ended_total"); err != nil {
		t.Error(err)
	}
	if log := g.log.String(); !hasLine(log, "msg=revocation", "cause=others", "user=1", "sessions=3") || strings.Count(log, "msg=revocation") != 1 {
		t.Errorf("got the log\n%s\nwant one line about 3 sessions", log)
	}
	for _, want := range []string{`{"ended":[],"count":1}`, `{"ended":[]}`} {
		expect(t, do(g.admin, "DELETE", "/admin/apps/wire/users/1/sessions", "", "Authorization: Bearer "+wiretest.AdminToken), 200, want)
	}
}

// TestDisconnectedClientsAreCounted checks that a 5xx is counted as client_gone if the client
// has disconnected, because then it is no fault of the gateway or its store. A rejection
// keeps its code.
func TestDisconnectedClientsAreCounted(t *testing.T) {
	g := newGateway(t, options{})
	refresh, _, _ := g.login(t)
	g.doDisconnected("POST", "/api/session/refresh/", refreshBody("garbage"))
	for _, code := range []session.Code{session.Internal, session.Unavailable} {
		g.store.failure.Store(session.Fail(code, nil))
		g.doDisconnected("POST", "/api/session/refresh/", refreshBody(refresh))
		g.do("POST", "/api/session/refresh/", refreshBody(refresh))
	}
	const want = `
# HELP tokengate_requests_total Requests answered, by endpoint and result code.
# TYPE tokengate_requests_total counter
tokengate_requests_total{code="client_gone",endpoint="refresh"} 2
tokengate_requests_total{code="internal",endpoint="refresh"} 1
tokengate_requests_total{code="ok",endpoint="login"} 1
tokengate_requests_total{code="unavailable",endpoint="refresh"} 1
tokengate_requests_total{code="unknown",endpoint="refresh"} 1
`
	if err := testutil.GatherAndCompare(g.registry, strings.NewReader(want), "tokengate_requests_total"); err != nil {
		t.Error(err)
	}
}
