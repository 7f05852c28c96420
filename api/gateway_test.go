package api_test

import (
	"bytes"
	"context"
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
)

// signer makes tokens that only look like some: "app.kind.user.sid.…" and a
// checksum in the place of a signature.
type signer struct {
	app    string
	serial atomic.Int64
}

func (s *signer) Headers() []string { return []string{s.app} }

func (s *signer) Trusts(other session.Signer) bool { return other.(*signer).app == s.app }

func (s *signer) Sign(c session.Claims) (string, error) {
	last := int64(c.Generation)
	if c.Kind == session.Access {
		last = s.serial.Add(1)
	}
	b := append([]byte(s.app), '.')
	for _, part := range []string{string(c.Kind), c.User.String(), string(c.Session), string(c.Type)} {
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

// oddTokens are the tokens that are well signed and yet lack something.
var oddTokens = map[string]session.Code{
	"no-exp": session.TokenNoExpiry, "no-jti": session.TokenNoID,
	"no-type": session.TokenNoKind, "no-user": session.TokenNoUser,
}

func (s *signer) Verify(token string, kind session.Kind, now time.Time) (session.Claims, error) {
	if code, ok := oddTokens[token]; ok {
		return session.Claims{}, session.Fail(code, nil)
	}
	p := strings.Split(token, ".")
	if len(p) != 9 || p[0] != s.app || checksum([]byte(token[:len(token)-len(p[8])])) != p[8] {
		return session.Claims{}, session.Fail(session.TokenInvalid, nil)
	}
	last, _ := strconv.ParseInt(p[5], 10, 64)
	issued, _ := strconv.ParseInt(p[6], 10, 64)
	expires, _ := strconv.ParseInt(p[7], 10, 64)
	user, _ := session.ParseUserID([]byte(p[2]))
	c := session.Claims{
		Kind: session.Kind(p[1]), User: user, Session: session.ID(p[3]), Type: session.Type(p[4]),
		Issued: time.Unix(issued, 0), Expires: time.Unix(expires, 0),
	}
	switch {
	case c.Kind != kind:
		return session.Claims{}, session.Fail(session.TokenWrongKind, nil)
	case kind == session.Refresh:
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

// checker knows wiretest.Users. While outage is set it cannot tell.
type checker struct{ outage atomic.Bool }

func (c *checker) Check(_ context.Context, username, password string) (session.User, error) {
	if c.outage.Load() {
		return session.User{}, session.Fail(session.Unavailable, nil)
	}
	for _, u := range wiretest.Users {
		right := u.Password == password || u.Password == strings.TrimSpace(password)
		if u.Name == username && right && u.Active {
			return session.User{ID: session.NumberID(u.ID)}, nil
		}
	}
	return session.User{}, session.Fail(session.InvalidCredentials, nil)
}

func (c *checker) Recheck(_ context.Context, id session.UserID) error {
	for _, u := range wiretest.Users {
		switch {
		case id != session.NumberID(u.ID):
		case !u.Active:
			return session.Fail(session.UserInactive, nil)
		default:
			return nil
		}
	}
	return session.Fail(session.UserUnknown, nil)
}

// store is memstore that can be made to fail, to panic, and to say how durable
// its steps are.
type store struct {
	*memstore.Store
	fails      atomic.Pointer[session.Error]
	panics     atomic.Bool
	durability atomic.Value // session.Durability
}

func (s *store) Refresh(ctx context.Context, step session.RefreshStep) (session.Refreshed, error) {
	if s.panics.Load() {
		panic("a defect")
	}
	if err := s.fails.Load(); err != nil {
		return session.Refreshed{}, err
	}
	done, err := s.Store.Refresh(ctx, step)
	done.Durability, _ = s.durability.Load().(session.Durability)
	return done, err
}

// lockedBuffer is a log that many goroutines write.
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

// policies are short enough to read and wide enough for any test that does not
// bring its own.
func policies() map[session.Type]session.Policy {
	p := session.Policy{
		Lifetime: time.Hour, Rotate: true, ReuseDetection: true, RetryWindow: 30 * time.Second,
		UpdateLastLogin: true, AbsoluteLifetime: 24 * time.Hour, Limit: true, Max: 5, DestroyOldest: true,
	}
	short := p
	short.Max = 2
	return map[session.Type]session.Policy{session.Long: p, session.Short: short}
}

// gateway is a Server with everything behind it, all in this process.
type gateway struct {
	store    *store
	checker  *checker
	log      *lockedBuffer
	registry *prometheus.Registry
	engine   *session.Engine
	server   *api.Server
	public   http.Handler
	admin    http.Handler
}

// options changes what newGateway makes.
type options struct {
	policies map[session.Type]session.Policy
	access   time.Duration // life of an access token; 0: five minutes
	apps     []string      // besides wiretest.App; each has its name as its secret
	quiet    bool          // the log is written, but nowhere
	change   func(*api.Options)
}

func newGateway(t testing.TB, opts options) *gateway {
	t.Helper()
	g := &gateway{
		store: &store{Store: memstore.New(memstore.Options{})}, checker: &checker{},
		log: &lockedBuffer{}, registry: prometheus.NewRegistry(),
	}
	log := slog.New(slog.NewTextHandler(g.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if opts.quiet {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	metrics, err := api.NewMetrics(g.registry)
	must(t, err)
	revocations := session.NewRevocations(time.Hour, time.Minute)
	g.engine, err = session.New(session.Config{
		Apps: g.appList(opts), Store: g.store, Ledger: g.store, Revocations: revocations,
		Observer: api.NewObserver(metrics, log),
	})
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	go func() { _ = g.store.Follow(ctx, append(opts.apps, wiretest.App), revocations) }()
	serverOptions := api.Options{Engine: g.engine, Logger: log, Metrics: metrics, AdminToken: wiretest.AdminToken}
	if opts.change != nil {
		opts.change(&serverOptions)
	}
	g.server, err = api.New(serverOptions)
	must(t, err)
	g.public, g.admin = g.server.Public(), g.server.Admin()
	return g
}

func (g *gateway) appList(opts options) []session.App {
	if opts.policies == nil {
		opts.policies = policies()
	}
	if opts.access == 0 {
		opts.access = 5 * time.Minute
	}
	var apps []session.App
	for _, name := range append([]string{wiretest.App}, opts.apps...) {
		secret := name
		if name == wiretest.App {
			secret = wiretest.Secret
		}
		apps = append(apps, session.App{
			Name: name, Secrets: []string{secret}, Policies: opts.policies, AccessLifetime: opts.access,
			Signer: &signer{app: name}, Checker: g.checker,
		})
	}
	return apps
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ask sends one request to the public handler. Headers come as "Name: value".
func (g *gateway) ask(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	return ask(g.public, method, path, body, headers...)
}

func ask(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
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

// login gives the tokens of a new session of alice's.
func (g *gateway) login(t testing.TB) (refresh, access, id string) {
	t.Helper()
	w := g.ask("POST", "/api/session/login/", fmt.Sprintf(
		`{"username":"alice","password":"alice-pw-1","secret_key":%q,"session":"LONG","info":"test"}`, wiretest.Secret))
	if w.Code != http.StatusOK {
		t.Fatalf("login: %d %s", w.Code, w.Body)
	}
	var tokens struct{ Refresh, Access, Session_ID string }
	decode(t, w, &tokens)
	return tokens.Refresh, tokens.Access, tokens.Session_ID
}
