package session_test

import (
	"strings"
	"testing"
	"time"

	"tokengate/session"
	"tokengate/session/memstore"
)

// fixture is an engine whose parts a test controls. Two apps use it: "shop" with
// the users alice (1) and bob ("b"), and "other", which has a key and a secret of
// its own and another user named alice (1).
type fixture struct {
	*testing.T
	*session.Engine
	store    *flakyStore
	list     *session.RevocationList
	limiter  *flakyLimiter
	events   *observer
	checker  *checker // of "shop"
	signer   *signer  // of "shop"
	now      time.Time
	policies map[session.Type]session.Policy // of both apps
}

// sameKey is the AccountKey of both apps.
func sameKey(username string) string { return username }

// alice is the user of "shop" that most tests log in.
var alice = session.Owner{App: "shop", User: "1"}

func newFixture(t *testing.T) *fixture {
	f := &fixture{
		T: t, events: &observer{}, signer: &signer{key: "k1"}, now: time.Date(2030, 1, 2, 3, 4, 5, 600_700_800, time.UTC),

		policies: map[session.Type]session.Policy{session.Long: validPolicy(), session.Short: validPolicy()},
		checker: &checker{recheckErrs: map[string]error{}, statuses: map[string]session.Status{}, users: map[string]session.User{
			"alice": {ID: session.NumberID(1), Claims: []byte(`{"role":"admin"}`)},
			"bob":   {ID: session.TextID("b")},
		}},
	}
	clock := func() time.Time { return f.now }
	f.list = session.NewRevocationList(retention, bound, clock)
	f.store = &flakyStore{}
	f.store.Store = memstore.New(memstore.Options{Now: func() time.Time { return f.now.Add(f.store.offset) }})
	f.limiter = &flakyLimiter{Limiter: f.store.Limiter()}
	var err error
	f.Engine, err = session.New(session.Config{
		Apps: []session.App{
			{Name: "shop", Secrets: []string{"s-new", "s-old"}, Policies: f.policies, AccessLifetime: retention, Signer: f.signer, Devices: f.signer, Checker: f.checker, AccountKey: sameKey, LoginAttempts: 3, LoginAttemptsPerNetwork: 5},
			{
				Name: "other", Secrets: []string{"o"}, Policies: f.policies, AccessLifetime: retention, Signer: &signer{key: "k2"}, Devices: &signer{key: "k2"},
				Checker: &checker{users: map[string]session.User{"alice": {ID: session.NumberID(1)}}}, AccountKey: sameKey,
			},
		},
		Store: f.store, Limiter: f.limiter, Revocations: f.list, Observer: f.events, Now: clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// loginAs logs a user in to "shop" with a LONG session.
func (f *fixture) loginAs(username string) (session.Tokens, error) {
	return f.Login(f.Context(), session.LoginRequest{Secret: "s-new", Username: username, Password: username, Type: "LONG"})
}

// login logs alice in to "shop". It discards the events.
func (f *fixture) login(t session.Type) session.Tokens {
	f.Helper()
	tokens, err := f.Login(f.Context(), session.LoginRequest{
		Secret: "s-new", Username: "alice", Password: "alice", Type: string(t), Info: "phone",
	})
	if err != nil {
		f.Fatal(err)
	}
	f.events.take()
	return tokens
}

// refresh refreshes a LONG session of "shop".
func (f *fixture) refresh(token string) (session.Tokens, error) {
	return f.Refresh(f.Context(), session.RefreshRequest{Secret: "s-new", Type: "LONG", Token: token})
}

// revokeElsewhere revokes alice's session as another instance would.
func (f *fixture) revokeElsewhere(tokens session.Tokens) session.RevokeResult {
	f.Helper()
	result, err := f.Store.Revoke(f.Context(), session.RevokeStep{
		Owner: alice, ID: tokens.Session, Cause: session.CauseLogout,
	})
	f.wantError(err, session.OK, "")
	return result
}

// caller returns the caller of an access token.
func (f *fixture) caller(access string) session.Caller {
	f.Helper()
	c, err := f.Authenticate(f.Context(), access)
	if err != nil {
		f.Fatal(err)
	}
	return c
}

// noTime is a clock at which no token has expired.
type noTime struct{}

func (noTime) Now() time.Time                             { return time.Time{} }
func (noTime) StoreNow(session.UserID) (time.Time, error) { return time.Time{}, nil }

// claims returns the claims of a token of "shop", whatever its times.
func (f *fixture) claims(token string, kind session.Kind) session.Claims {
	f.Helper()
	c, err := f.signer.Verify(token, kind, noTime{})
	if err != nil {
		f.Fatal(err)
	}
	return c
}

// wantError checks the code and the cause of an error.
func (f *fixture) wantError(err error, code session.Code, cause session.Cause) {
	f.Helper()
	if session.CodeOf(err) != code || session.CauseOf(err) != cause {
		f.Fatalf("got %v, want %s %s", err, code, cause)
	}
}

// wantEvents checks the events since the last check; see observer.take.
func (f *fixture) wantEvents(want ...string) {
	f.Helper()
	if got := f.events.take(); got != strings.Join(want, "; ") {
		f.Errorf("got events %q, want %q", got, strings.Join(want, "; "))
	}
}

// wantLive checks the number of alice's live sessions.
func (f *fixture) wantLive(want int) {
	f.Helper()
	out, err := f.store.Store.List(f.Context(), session.ListStep{Owner: alice, Types: session.Types})
	if err != nil || len(out.Sessions) != want {
		f.Fatalf("got %d live sessions, %v, want %d", len(out.Sessions), err, want)
	}
}
