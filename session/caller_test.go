package session_test

import (
	"testing"
	"time"

	"tokengate/session"
)

func TestAuthenticate(t *testing.T) {
	f := newFixture(t)
	tokens := f.login(session.Long)
	calls := f.store.calls
	if c := f.caller(tokens.Access); c.App.Name != "shop" || c.Claims.Session != tokens.Session {
		t.Errorf("got app %s, claims %+v, want shop and session %s", c.App.Name, c.Claims, tokens.Session)
	}
	for token, code := range map[string]session.Code{
		"": session.TokenInvalid, "x.y.z": session.TokenInvalid, tokens.Refresh: session.TokenWrongKind,
	} {
		_, err := f.Authenticate(t.Context(), token)
		f.wantError(err, code, "")
	}
	for _, code := range []session.Code{session.UserUnknown, session.UserInactive, session.Unavailable} {
		f.checker.recheckErrs["1"] = session.Fail(code, nil)
		_, err := f.Authenticate(t.Context(), tokens.Access)
		f.wantError(err, code, "")
	}
	if f.store.calls != calls {
		t.Errorf("got %d steps of the store, want none", f.store.calls-calls)
	}
}

// TestCallerFromAnotherProgram uses an access token that another program issued
// with the app's key. Without a session of the gateway there is none to check.
func TestCallerFromAnotherProgram(t *testing.T) {
	f := newFixture(t)
	tokens := f.login(session.Long)
	for _, sid := range []session.ID{"", "another form"} {
		access, err := f.signer.Sign(session.Claims{
			Kind: session.KindAccess, User: session.TextID("1"), Session: sid, Issued: f.now, Expires: f.now.Add(time.Minute),
		})
		f.wantError(err, session.OK, "")
		result, _, err := f.List(t.Context(), f.caller(access), "ALL")
		if err != nil || len(result.Sessions) != 1 || result.Sessions[0].ID != tokens.Session {
			t.Errorf("List with sid %q: got %v, %v, want session %s", sid, result, err, tokens.Session)
		}
		if _, err := f.Verify(t.Context(), "", access); err != nil {
			t.Errorf("Verify with sid %q: %v", sid, err)
		}
	}
}
