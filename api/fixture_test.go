package api_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tokengate/api"
	"tokengate/api/wiretest"
	"tokengate/session"
	"tokengate/session/memstore"
	"tokengate/session/storetest"
)

// fakeSigner issues tokens of the form "app.kind.user.session.…" with a checksum in
// place of a signature.
type fakeSigner struct {
	app    string
	serial atomic.Int64
}

func (s *fakeSigner) SecretSetting(string) string { return "" }

// SignDevice returns the device as JSON.
func (s *fakeSigner) SignDevice(d session.Device) (string, error) {
	b, err := json.Marshal(d)
	return s.app + "." + string(b), err
}

func (s *fakeSigner) VerifyDevice(token string, now time.Time) (d session.Device, err error) {
	content, own := strings.CutPrefix(token, s.app+".")
	if !own || json.Unmarshal([]byte(content), &d) != nil || !now.Before(d.Expires) {
		return session.Device{}, session.Fail(session.TokenInvalid, nil)
	}
	return d, nil
}

func (s *fakeSigner) Headers() []string { return []string{s.app} }

func (s *fakeSigner) Trusts(other session.Signer) bool { return other.(*fakeSigner).app == s.app }

func (s *fakeSigner) Sign(c session.Claims) (string, error) {
	last := int64(c.Generation)
	if c.Kind == session.KindAccess {
		last = s.serial.Add(1)
	}
	b := append([]byte(s.app), '.')
	for _, part := range []string{string(c.Kind), c.User.String(), string(c.Session), string(c.Type), hex.EncodeToString(c.Secret[:])} {
		b = append(append(b, part...), '.')
	}
	for _, n := range []int64{last, c.Issued.Unix(), c.Expires.Unix()} {
		b = append(strconv.AppendInt(b, n, 10), '.')
	}
	return string(b) + checksum(b), nil
}

func checksum(b []byte) string {
	h := fnv.New64a()
	_, _ = h.Write(b)
	return strconv.FormatUint(h.Sum64(), 36)
}

// incompleteTokens are tokens that are signed correctly but lack a claim.
var incompleteTokens = map[string]session.Code{
	"no-exp": session.TokenNoExpiry, "no-jti": session.TokenNoID,
	"no-type": session.TokenNoKind, "no-user": session.TokenNoUser,
}

func (s *fakeSigner) Verify(token string, kind session.Kind, clock session.Clock) (session.Claims, error) {
	now := clock.Now()
	if code, ok := incompleteTokens[token]; ok {
		return session.Claims{}, session.Fail(code, nil)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 10 || parts[0] != s.app || checksum([]byte(token[:len(token)-len(parts[9])])) != parts[9] {
		return session.Claims{}, session.Fail(session.TokenInvalid, nil)
	}
	last, _ := strconv.ParseInt(parts[6], 10, 64)
	issued, _ := strconv.ParseInt(parts[7], 10, 64)
	expires, _ := strconv.ParseInt(parts[8], 10, 64)
	user, _ := session.ParseUserID([]byte(parts[2]))
	c := session.Claims{
		Kind: session.Kind(parts[1]), User: user, Session: session.ID(parts[3]), Type: session.Type(parts[4]),
		Issued: time.Unix(issued, 0), Expires: time.Unix(expires, 0),
	}
	_, _ = hex.Decode(c.Secret[:], []byte(parts[5]))
	switch {
	case c.Kind != kind:
		return session.Claims{}, session.Fail(session.TokenWrongKind, nil)
	case kind == session.KindRefresh:
		c.Generation = uint32(last)
		if now.Before(c.Expires) {
			return c, nil
		}
		return c, session.Fail(session.Expired, nil)
	case !now.Before(c.Expires):
		return session.Claims{}, session.Fail(session.TokenInvalid, nil)
	}
	return c, nil
}

// fakeChecker checks passwords against wiretest.Users. While outage is set, Check
// fails with session.Unavailable.
type fakeChecker struct{ outage atomic.Bool }

func (c *fakeChecker) Check(_ context.Context, presented session.Credentials, found func(session.Found) error) (session.User, error) {
	username, password := presented.Username, presented.Password
	if c.outage.Load() {
		return session.User{}, session.Fail(session.Unavailable, nil)
	}
	if err := found(session.Found{}); err != nil {
		return session.User{}, err
	}
	for _, u := range wiretest.Users {
		matches := u.Password == password || u.Password == strings.TrimSpace(password)
		if u.Name == username && matches && u.Active {
			return session.User{ID: session.NumberID(u.ID)}, nil
		}
	}
	return session.User{}, session.Fail(session.InvalidCredentials, nil)
}

func (c *fakeChecker) Recheck(_ context.Context, id session.UserID, _ bool) (session.Status, error) {
	for _, u := range wiretest.Users {
		switch {
		case id != session.NumberID(u.ID):
		case !u.Active:
			return session.Status{}, session.Fail(session.UserInactive, nil)
		default:
			return session.Status{}, nil
		}
	}
	return session.Status{}, session.Fail(session.UserUnknown, nil)
}

// fakeStore is a memstore.Store whose Refresh can be made to fail or to panic, whose Refresh
// and Logout to return a Durability, and whose RevokeOthers not to name the sessions.
type fakeStore struct {
	*memstore.Store
	failure    atomic.Pointer[session.Error]
	panics     atomic.Bool
	durability atomic.Value                    // of session.Durability
	arrival    atomic.Pointer[session.Arrival] // of the last Refresh
	many       atomic.Bool
}

func (s *fakeStore) Logout(ctx context.Context, step session.LogoutStep) (session.RevokeResult, error) {
	result, err := s.Store.Logout(ctx, step)
	result.Durability, _ = s.durability.Load().(session.Durability)
	return result, err
}

func (s *fakeStore) RevokeOthers(ctx context.Context, step session.RevokeOthersStep) (session.RevokeResult, error) {
	result, err := s.Store.RevokeOthers(ctx, step)
	if s.many.Load() {
		result = storetest.Unnamed(step, result)
	}
	return result, err
}

func (s *fakeStore) Refresh(ctx context.Context, step session.RefreshStep) (session.RefreshResult, error) {
	s.arrival.Store(session.ArrivalFrom(ctx))
	if s.panics.Load() {
		panic("a defect")
	}
	if err := s.failure.Load(); err != nil {
		return session.RefreshResult{}, err
	}
	result, err := s.Store.Refresh(ctx, step)
	result.Durability, _ = s.durability.Load().(session.Durability)
	return result, err
}

// lockedBuffer is a buffer for a log. It is safe for concurrent use.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// policies returns the policies of tests that do not set their own.
func policies() map[session.Type]session.Policy {
	p := session.Policy{
		Lifetime: time.Hour, Rotate: true, ReuseDetection: true, RetryWindow: 30 * time.Second,
		UpdateLastLogin: true, AbsoluteLifetime: 24 * time.Hour, Limit: true, Max: 5, DestroyOldest: true,
	}
	short := p
	short.Max = 2
	return map[session.Type]session.Policy{session.Long: p, session.Short: short}
}

// gateway is a Server with its engine and store, all in this process.
type gateway struct {
	store    *fakeStore
	checker  *fakeChecker
	log      *lockedBuffer
	registry *prometheus.Registry
	engine   *session.Engine
	server   *api.Server
	public   http.Handler
	admin    http.Handler
}

// options configures newGateway.
type options struct {
	policies       map[session.Type]session.Policy
	accessLifetime time.Duration // of access tokens; 0 means five minutes
	apps           []string      // apps besides wiretest.App; the secret of each is its name
	loginAttempts  int           // LOGIN_ATTEMPTS; 0 means the default
	discardLog     bool          // log to io.Discard
	minPassword    int           // of the users of wiretest.App in the store's directory; 0 means that they are elsewhere
	change         func(*api.Options)
}

func newGateway(t testing.TB, opts options) *gateway {
	t.Helper()
	g := &gateway{
		store: &fakeStore{Store: memstore.New(memstore.Options{})}, checker: &fakeChecker{},
		log: &lockedBuffer{}, registry: prometheus.NewRegistry(),
	}
	log := slog.New(slog.NewTextHandler(g.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if opts.discardLog {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	metrics, err := api.NewMetrics(g.registry)
	must(t, err)
	revocations := session.NewRevocationList(time.Hour, time.Minute, nil)
	g.engine, err = session.New(session.Config{
		Apps: g.appList(opts), Store: g.store, Limiter: g.store.Limiter(), Revocations: revocations,
		Observer: api.NewObserver(metrics, log),
	})
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	go func() { _ = g.store.Follow(ctx, append(opts.apps, wiretest.App), revocations) }()
	serverOptions := api.Options{Engine: g.engine, Logger: log, Metrics: metrics, AdminToken: wiretest.AdminToken, Accounts: g.accounts(t, opts)}
	if opts.change != nil {
		opts.change(&serverOptions)
	}
	g.server, err = api.New(serverOptions)
	must(t, err)
	g.public, g.admin = g.server.Public(), g.server.Admin()
	return g
}

// appList returns the engine's apps.
func (g *gateway) appList(opts options) []session.App {
	if opts.policies == nil {
		opts.policies = policies()
	}
	if opts.accessLifetime == 0 {
		opts.accessLifetime = 5 * time.Minute
	}
	var apps []session.App
	for _, name := range append([]string{wiretest.App}, opts.apps...) {
		secret := name
		if name == wiretest.App {
			secret = wiretest.Secret
		}
		apps = append(apps, session.App{
			Name: name, Secrets: []string{secret}, Policies: opts.policies, AccessLifetime: opts.accessLifetime,
			Signer: &fakeSigner{app: name}, Devices: &fakeSigner{app: name}, Checker: g.checker, AccountKey: accountKey,
			LoginAttempts: opts.loginAttempts,
		})
	}
	return apps
}

// accountKey is the AccountKey of every app.
func accountKey(username string) string { return checksum([]byte(username)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// do sends a request to the public handler. Headers are given as "Name: value".
func (g *gateway) do(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	return do(g.public, method, path, body, headers...)
}

// doDisconnected is like do, but the client has disconnected: the request's context is
// cancelled.
func (g *gateway) doDisconnected(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	disconnected := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		g.public.ServeHTTP(w, r.WithContext(ctx))
	})
	return do(disconnected, method, path, body, headers...)
}

func do(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// login creates a session of the user alice and returns its tokens and id.
func (g *gateway) login(t testing.TB) (refresh, access, id string) {
	t.Helper()
	w := g.do("POST", "/api/session/login/", fmt.Sprintf(
		`{"username":"alice","password":"alice-pw-1","secret_key":%q,"session":"LONG","info":"test"}`, wiretest.Secret))
	if w.Code != http.StatusOK {
		t.Fatalf("login: got %d %s, want 200", w.Code, w.Body)
	}
	var tokens struct{ Refresh, Access, Session_ID string }
	decode(t, w, &tokens)
	return tokens.Refresh, tokens.Access, tokens.Session_ID
}

func refreshBody(token string) string {
	return `{"secret_key":"` + wiretest.Secret + `","session":"LONG","refresh":"` + token + `"}`
}

// expect checks a response. The body "*" stands for any body.
func expect(t *testing.T, w *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if w.Code != status || (body != "*" && w.Body.String() != body) {
		t.Errorf("got  %d %s\nwant %d %s", w.Code, w.Body, status, body)
	}
}

func decode(t testing.TB, w *httptest.ResponseRecorder, v any) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), v); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
}
