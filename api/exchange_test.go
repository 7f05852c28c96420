package api_test

import (
	"errors"
	"strings"
	"testing"

	"tokengate/api/wiretest"
	"tokengate/session"
)

// TestUnavailableReturns503 checks the answer if the store or the user source cannot
// answer.
func TestUnavailableReturns503(t *testing.T) {
	g := newGateway(t, options{})
	refresh, _, _ := g.login(t)
	g.store.failure.Store(session.Fail(session.Unavailable, errors.New("no route to 10.1.2.3")))
	w := g.do("POST", "/api/session/refresh/", refreshBody(refresh))
	expect(t, w, 503, `{"detail":"The service is temporarily unavailable. Try again.","code":"unavailable"}`)
	if w.Header().Get("Retry-After") != "1" || w.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("got headers %v, want Retry-After: 1 and no WWW-Authenticate", w.Header())
	}
	if !strings.Contains(g.log.String(), "no route to 10.1.2.3") {
		t.Errorf("the log does not contain the reason: %s", g.log.String())
	}
	g.checker.outage.Store(true)
	w = g.do("POST", "/api/session/login/", `{"username":"alice","password":"x","secret_key":"`+wiretest.Secret+`","session":"LONG","info":"x"}`)
	expect(t, w, 503, `{"detail":"The service is temporarily unavailable. Try again.","code":"unavailable"}`)
}

// TestUnknownErrorsAreHidden checks that the client gets no details of an error with
// a code that is not in the table of answers.
func TestUnknownErrorsAreHidden(t *testing.T) {
	g := newGateway(t, options{})
	refresh, _, _ := g.login(t)
	g.store.failure.Store(&session.Error{Code: "brand_new", Err: errors.New("row 17")})
	expect(t, g.do("POST", "/api/session/refresh/", refreshBody(refresh)), 500, `{"detail":"Internal server error.","code":"internal"}`)
}

func TestPanicReturns500(t *testing.T) {
	g := newGateway(t, options{})
	refresh, _, _ := g.login(t)
	g.store.panics.Store(true)
	w := g.do("POST", "/api/session/refresh/", refreshBody(refresh))
	expect(t, w, 500, `{"detail":"Internal server error.","code":"internal"}`)
	if w.Header().Get("X-Request-Id") == "" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("got headers %v, want an X-Request-Id and Content-Type: application/json", w.Header())
	}
	log := g.log.String()
	if !strings.Contains(log, "a defect") || !strings.Contains(log, "fixture_test.go") || !strings.Contains(log, "status=500") {
		t.Errorf("the log lacks the panic, its stack or the status: %s", log)
	}
	g.store.panics.Store(false)
	expect(t, g.do("POST", "/api/session/refresh/", refreshBody(refresh)), 200, "*")
}

func TestDurabilityHeader(t *testing.T) {
	g := newGateway(t, options{})
	refresh, _, _ := g.login(t)
	g.store.durability.Store(session.Replicated)
	w := g.do("POST", "/api/session/refresh/", refreshBody(refresh))
	if got := w.Header().Get("Durability"); got != "replicated" {
		t.Errorf("got Durability %q, want replicated", got)
	}
}
