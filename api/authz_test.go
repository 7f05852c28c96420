package api_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"tokengate/api/wiretest"
	"tokengate/session"
)

// allowAll is a checker whose Recheck accepts every user.
type allowAll struct{ session.Checker }

func (allowAll) Recheck(context.Context, session.UserID, bool) (session.Status, error) {
	return session.Status{}, nil
}

// TestForwardAuthChecksUser checks that the token of an inactive or unknown user is
// rejected.
func TestForwardAuthChecksUser(t *testing.T) {
	g := newGateway(t, options{})
	for user, want := range map[int64]int{1: 200, 3: 401, 999: 401} {
		token, _ := g.engine.App(wiretest.App).Signer.Sign(session.Claims{
			Kind: session.KindAccess, User: session.NumberID(user), Issued: time.Now(), Expires: time.Now().Add(time.Minute),
		})
		if w := g.do("GET", "/apps/wire/authz", "", "Authorization: JWT "+token); w.Code != want {
			t.Errorf("user %d: got %d, want %d", user, w.Code, want)
		}
	}
}

// TestUserIDsInHeaders checks that X-Auth-User has URL escapes where a user id is not
// plain ASCII.
func TestUserIDsInHeaders(t *testing.T) {
	g := newGateway(t, options{})
	app := g.engine.App(wiretest.App)
	app.Signer, app.Checker = textSigner{app.Signer}, allowAll{app.Checker}
	for user, want := range map[string]string{"zoë@x": "zo%C3%AB@x", "a b": "a%20b", "a%20b": "a%2520b", "plain/id:1": "plain/id:1"} {
		w := g.do("GET", "/apps/wire/authz", "", "Authorization: JWT "+strings.ReplaceAll(user, " ", "\u2000"))
		if got := w.Header().Get("X-Auth-User"); got != want {
			t.Errorf("%q: got X-Auth-User %q, want %q", user, got, want)
		}
	}
}

// textSigner accepts every token. The token is the user's id, with U+2000 in place of
// spaces, which a token in a header cannot contain.
type textSigner struct{ session.Signer }

func (textSigner) Verify(token string, kind session.Kind, clock session.Clock) (session.Claims, error) {
	now := clock.Now()
	user := session.TextID(strings.ReplaceAll(token, "\u2000", " "))
	return session.Claims{Kind: kind, User: user, Issued: now, Expires: now.Add(time.Minute)}, nil
}
