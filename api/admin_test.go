package api_test

import (
	"context"
	"strings"
	"testing"

	"tokengate/api"
	"tokengate/api/wiretest"
	"tokengate/session"
)

func TestAdminIsOffWithoutToken(t *testing.T) {
	g := newGateway(t, options{change: func(o *api.Options) { o.AdminToken = "" }})
	for _, header := range []string{"", "Authorization: Bearer ", "Authorization: Bearer x"} {
		w := do(g.admin, "DELETE", "/admin/apps/wire/sessions", "", header)
		expect(t, w, 403, `{"detail":"The admin API is off: no ADMIN_TOKEN is set.","code":"admin_off"}`)
	}
}

// TestAdminUnescapesUserIDs looks up a user whose id needs URL escapes.
func TestAdminUnescapesUserIDs(t *testing.T) {
	g := newGateway(t, options{})
	owner := session.Owner{App: wiretest.App, User: "zoë/1 %2F@x"}
	_, err := g.store.Create(context.Background(), session.CreateStep{
		Owner: owner, Session: session.Session{ID: session.NewID(), Type: session.Long, Info: "odd"}, Policy: policies()[session.Long],
	})
	must(t, err)
	w := do(g.admin, "GET", "/admin/apps/wire/users/zo%C3%AB%2F1%20%252F@x/sessions", "", "Authorization: Bearer "+wiretest.AdminToken)
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"session_info":"odd"`) {
		t.Errorf("got %d %s, want 200 and the session", w.Code, w.Body)
	}
}
