package session_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokengate/session"
	"tokengate/session/memstore"
)

// signer makes tokens that anybody can read: header.claims, and a number that
// makes access tokens differ. Apps with one key accept one another's.
type signer struct {
	key    string
	issued atomic.Int64
	broken error // of Sign
}

// spoken is Claims as a token has it: whole seconds.
type spoken struct {
	session.Claims
	Issued, Expires, AuthTime int64
	Number                    int64
}

func (s *signer) Sign(c session.Claims) (string, error) {
	if s.broken != nil {
		return "", s.broken
	}
	out := spoken{Claims: c, Issued: c.Issued.Unix(), Expires: c.Expires.Unix(), AuthTime: c.AuthTime.Unix()}
	if c.Kind == session.Access {
		out.Number = s.issued.Add(1)
	}
	raw, err := json.Marshal(out)
	return s.key + "." + base64.RawURLEncoding.EncodeToString(raw), err
}

func (s *signer) Verify(token string, kind session.Kind, now time.Time) (session.Claims, error) {
	key, body, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(body)
	var in spoken
	if key != s.key || err != nil || json.Unmarshal(raw, &in) != nil {
		return session.Claims{}, session.Fail(session.TokenInvalid, nil)
	}
	c := in.Claims
	if string(c.Extra) == "null" {
		c.Extra = nil
	}
	c.Issued, c.Expires, c.AuthTime = time.Unix(in.Issued, 0), time.Unix(in.Expires, 0), time.Unix(in.AuthTime, 0)
	switch {
	case c.Kind != kind:
		return session.Claims{}, session.Fail(session.TokenWrongKind, nil)
	case !now.Before(c.Expires) && kind == session.Refresh:
		return c, session.Fail(session.Expired, nil)
	case !now.Before(c.Expires):
		return session.Claims{}, session.Fail(session.TokenInvalid, nil)
	}
	return c, nil
}

func (s *signer) Headers() []string { return []string{s.key} }

func (s *signer) Trusts(other session.Signer) bool { return other.(*signer).key == s.key }

// checker knows users whose password is their name. The zero value knows none.
type checker struct {
	users   map[string]session.User
	fails   error            // of Check, for everybody
	recheck map[string]error // by id
	stalls  bool             // no Recheck is answered
}

func (c *checker) Check(_ context.Context, username, password string) (session.User, error) {
	user, ok := c.users[username]
	switch {
	case c.fails != nil:
		return session.User{}, c.fails
	case !ok || password != username:
		return session.User{}, session.Fail(session.InvalidCredentials, nil)
	}
	return user, nil
}

func (c *checker) Recheck(ctx context.Context, id session.UserID) error {
	if c.stalls {
		<-ctx.Done()
		return session.Fail(session.Unavailable, ctx.Err())
	}
	return c.recheck[id.String()]
}

// observer remembers what it is told.
type observer struct {
	mu     sync.Mutex
	events []session.Event
}

func (o *observer) Observe(_ context.Context, e session.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, e)
}

// take gives the events since the last take, as lines.
func (o *observer) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var lines []string
	for _, e := range o.events {
		line := fmt.Sprintf("%s %s/%s %s", e.Step, e.App, e.User, e.Code)
		if e.Cause != "" {
			line += " " + string(e.Cause)
		}
		lines = append(lines, line)
	}
	o.events = nil
	return strings.Join(lines, "; ")
}

// errDown is what a store says that can't be reached.
var errDown = session.Fail(session.Unavailable, errors.New("no route to it"))

// flaky is a store and ledger that can be down, and counts what it is asked.
type flaky struct {
	*memstore.Store
	down  bool
	asked int
}

func (f *flaky) ask() error {
	f.asked++
	if f.down {
		return errDown
	}
	return nil
}

func (f *flaky) Create(ctx context.Context, step session.CreateStep) (out session.Created, err error) {
	if err = f.ask(); err == nil {
		out, err = f.Store.Create(ctx, step)
	}
	return out, err
}

func (f *flaky) Refresh(ctx context.Context, step session.RefreshStep) (out session.Refreshed, err error) {
	if err = f.ask(); err == nil {
		out, err = f.Store.Refresh(ctx, step)
	}
	return out, err
}

func (f *flaky) List(ctx context.Context, step session.ListStep) (out session.Listed, err error) {
	if err = f.ask(); err == nil {
		out, err = f.Store.List(ctx, step)
	}
	return out, err
}

func (f *flaky) End(ctx context.Context, step session.EndStep) (out session.Receipt, err error) {
	if err = f.ask(); err == nil {
		out, err = f.Store.End(ctx, step)
	}
	return out, err
}

func (f *flaky) EndOthers(ctx context.Context, step session.EndOthersStep) (out session.Receipt, err error) {
	if err = f.ask(); err == nil {
		out, err = f.Store.EndOthers(ctx, step)
	}
	return out, err
}

func (f *flaky) Logout(ctx context.Context, step session.LogoutStep) (out session.Receipt, err error) {
	if err = f.ask(); err == nil {
		out, err = f.Store.Logout(ctx, step)
	}
	return out, err
}

func (f *flaky) Live(ctx context.Context, owner session.Owner, id session.ID) error {
	if err := f.ask(); err != nil {
		return err
	}
	return f.Store.Live(ctx, owner, id)
}

func (f *flaky) EndApp(ctx context.Context, app string) (out session.Receipt, err error) {
	if err = f.ask(); err == nil {
		out, err = f.Store.EndApp(ctx, app)
	}
	return out, err
}

// rig is an engine on parts that the test moves. The app "shop" has users alice
// (1) and bob ("b"), "other" has a key, a secret and an alice (1) of its own.
type rig struct {
	*testing.T
	*session.Engine
	store    *flaky
	list     *session.Revocations
	events   *observer
	checker  *checker
	signer   *signer
	now      time.Time
	policies map[session.Type]session.Policy
}

func newRig(t *testing.T) *rig {
	r := &rig{
		T: t, events: &observer{}, signer: &signer{key: "k1"}, now: time.Date(2030, 1, 2, 3, 4, 5, 600_700_800, time.UTC),
		list:     session.NewRevocations(keep, bound),
		policies: map[session.Type]session.Policy{session.Long: good(), session.Short: good()},
		checker: &checker{recheck: map[string]error{}, users: map[string]session.User{
			"alice": {ID: session.NumberID(1), Claims: []byte(`{"role":"admin"}`)},
			"bob":   {ID: session.TextID("b")},
		}},
	}
	clock := func() time.Time { return r.now }
	r.store = &flaky{Store: memstore.New(memstore.Options{Now: clock})}
	var err error
	r.Engine, err = session.New(session.Config{
		Apps: []session.App{
			{Name: "shop", Secrets: []string{"s-new", "s-old"}, Policies: r.policies, AccessLifetime: keep, Signer: r.signer, Checker: r.checker},
			{
				Name: "other", Secrets: []string{"o"}, Policies: r.policies, AccessLifetime: keep, Signer: &signer{key: "k2"},
				Checker: &checker{users: map[string]session.User{"alice": {ID: session.NumberID(1)}}},
			},
		},
		Store: r.store, Ledger: r.store, Revocations: r.list, Observer: r.events, Now: clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// login logs alice in to "shop".
func (r *rig) login(t session.Type) session.Tokens {
	r.Helper()
	tokens, err := r.Login(r.Context(), session.LoginRequest{
		Secret: "s-new", Username: "alice", Password: "alice", Type: string(t), Info: "phone",
	})
	if err != nil {
		r.Fatal(err)
	}
	r.events.take()
	return tokens
}

func (r *rig) refresh(token string) (session.Tokens, error) {
	return r.Refresh(r.Context(), session.RefreshRequest{Secret: "s-new", Type: "LONG", Token: token})
}

// caller is who an access token speaks for.
func (r *rig) caller(access string) session.Caller {
	r.Helper()
	c, err := r.Authenticate(r.Context(), access)
	if err != nil {
		r.Fatal(err)
	}
	return c
}

func (r *rig) claims(token string, kind session.Kind) session.Claims {
	r.Helper()
	c, err := r.signer.Verify(token, kind, time.Time{})
	if err != nil {
		r.Fatal(err)
	}
	return c
}

func (r *rig) fails(err error, code session.Code, cause session.Cause) {
	r.Helper()
	if session.CodeOf(err) != code || session.CauseOf(err) != cause {
		r.Fatalf("got %v, want %s %s", err, code, cause)
	}
}

// told wants the events since it was last asked.
func (r *rig) told(want ...string) {
	r.Helper()
	if got := r.events.take(); got != strings.Join(want, "; ") {
		r.Errorf("told %q, want %q", got, strings.Join(want, "; "))
	}
}

// live is how many sessions alice has.
func (r *rig) live() int {
	r.Helper()
	out, err := r.store.Store.List(r.Context(), session.ListStep{
		Owner: session.Owner{App: "shop", User: "1"}, Types: session.Types,
	})
	if err != nil {
		r.Fatal(err)
	}
	return len(out.Sessions)
}
