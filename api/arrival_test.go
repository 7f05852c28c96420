package api_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tokengate/api"
	"tokengate/api/wiretest"
	"tokengate/session"
)

// TestStepsKnowTheirArrival checks that a step is told when the whole request had been read, and
// how to find out whether the process was paused since.
func TestStepsKnowTheirArrival(t *testing.T) {
	pauses := &session.PauseDetector{}
	g := newGateway(t, options{change: func(o *api.Options) { o.Pauses = pauses }})
	refresh, _, _ := g.login(t)
	var sent atomic.Int64
	slow := io.MultiReader(strings.NewReader(""), readerFunc(func(p []byte) (int, error) {
		time.Sleep(20 * time.Millisecond)
		sent.Store(time.Now().UnixNano())
		return copy(p, refreshBody(refresh)), io.EOF
	}))
	before := time.Now()
	r := httptest.NewRequest("POST", "/api/session/refresh/", slow)
	r.Header.Set("Content-Type", "application/json")
	g.public.ServeHTTP(httptest.NewRecorder(), r)
	a := g.store.arrival.Load()
	switch {
	case a == nil || a.Pauses != pauses:
		t.Error("the step has no Arrival with the server's PauseDetector")
	case a.Read.UnixNano() < sent.Load() || a.Read.After(time.Now()):
		t.Errorf("the request was read %s after it began, want after its body was sent", a.Read.Sub(before))
	}
}

// readerFunc is an io.Reader.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestRepeatedLogoutHasDurability checks that the answer to the repeat of a logout says whether
// the replicas have it, although it is an error.
func TestRepeatedLogoutHasDurability(t *testing.T) {
	g := newGateway(t, options{})
	refresh, _, _ := g.login(t)
	g.store.durability.Store(session.Replicated)
	for _, want := range []int{http.StatusOK, http.StatusUnauthorized} {
		w := g.do("POST", "/api/session/logout/", `{"secret_key":"`+wiretest.Secret+`","refresh":"`+refresh+`"}`)
		if w.Code != want || w.Header().Get("Durability") != "replicated" {
			t.Errorf("got status %d, Durability %q; want %d, replicated", w.Code, w.Header().Get("Durability"), want)
		}
	}
}
