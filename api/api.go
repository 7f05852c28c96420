package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"tokengate/session"
)

// Options configures a Server. Engine, Logger and Metrics are required.
type Options struct {
	Engine  *session.Engine
	Logger  *slog.Logger
	Metrics *Metrics

	// Apps has the HTTP settings of the engine's apps, by name. An app that is
	// not in it has the defaults of App.
	Apps map[string]App

	// TrustedProxies are the networks of the proxies whose X-Forwarded-For is
	// trusted; none by default.
	TrustedProxies []netip.Prefix

	// AdminToken is the bearer token of the admin API and of profiles; empty turns these off.
	AdminToken string

	// Accounts manages the users of apps with USERS=redis: for the admin API. Nil means
	// that no app has such users.
	Accounts session.AccountManager

	// Pauses makes the steps of a request fail if the process was paused while it had the
	// request. If Pauses is nil, they do not.
	Pauses *session.PauseDetector

	// Process has what all Servers of a process share. Nil means that there is no other
	// Server.
	Process *Process

	// Draining returns an error once the instance has begun to stop, and nil
	// before. If Draining is nil, readyz does not check it.
	Draining func() error

	// Ready returns an error if Redis cannot run steps; readyz answers with its text. It
	// should return within ReadyTimeout. If Ready is nil, readyz does not check Redis.
	Ready func(ctx context.Context) error
}

// App has the settings of one app that only the HTTP layer needs.
type App struct {
	HeaderTypes []string // AUTH_HEADER_TYPES; empty means JWT and Bearer
	HeaderName  string   // AUTH_HEADER_NAME; empty means Authorization
	// UsernameField is the name of the login's first field, USERNAME_FIELD; empty means
	// username.
	UsernameField string
	JWKS          func() []byte // returns the JWK Set of the app's public keys as JSON; nil means no keys
}

// New checks opts and returns a Server.
func New(opts Options) (*Server, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	s := &Server{
		engine: opts.Engine, log: opts.Logger, metrics: opts.Metrics, apps: map[string]app{}, accounts: opts.Accounts,
		trusted: opts.TrustedProxies, pauses: opts.Pauses, process: opts.Process, draining: opts.Draining, ready: opts.Ready,
		adminToken: sha256.Sum256([]byte(opts.AdminToken)), adminOff: opts.AdminToken == "",
	}
	if s.process == nil {
		s.process = NewProcess()
	}
	var headers []tokenHeader
	for _, a := range opts.Engine.Apps {
		h, _ := newTokenHeader(opts.Apps[a.Name].HeaderName, opts.Apps[a.Name].HeaderTypes) // Validate has checked it
		s.apps[a.Name] = app{h, cmp.Or(opts.Apps[a.Name].UsernameField, defaultUsernameField), opts.Apps[a.Name].JWKS}
		headers = append(headers, h)
		if name := s.apps[a.Name].usernameField; !slices.Contains(s.usernameFields, name) {
			s.usernameFields = append(s.usernameFields, name)
		}
	}
	s.headers = mergeHeaders(headers)
	if len(headers) > 0 {
		s.challenge = headers[0].challenge
	}
	return s, nil
}

// Public returns the handler for apps and their users.
func (s *Server) Public() http.Handler {
	return s.router(
		route{"login", "/api/session/login", post, "Initialize Session", nil, s.login},
		route{"refresh", "/api/session/refresh", post, "Refresh Session", nil, s.refresh},
		route{"list", "/api/session/list", post, "List Of Active Sessions", s.requireAccessToken, s.list},
		route{"destroy", "/api/session/destroy", post, "Destroy Session By Id", s.requireAccessToken, s.destroy},
		route{"destroy_others", "/api/session/destroyAllOther", post, "Destroy All Other Sessions", s.requireAccessToken, s.destroyOthers},
		route{"logout", "/api/session/logout", post, "Logout", nil, s.logout},
		route{"verify", "/api/session/verify", post, "Verify Token", nil, s.verify},

		route{"authz", "/apps/{app}/authz", anyMethod, "", nil, s.authz},
		route{"authz", "/apps/{app}/authz/", anyMethod, "", nil, s.authz}, // proxies are configured by hand, with and without the slash
		route{"jwks", "/apps/{app}/jwks.json", get, "", nil, s.jwks},
	)
}

// Admin returns the handler for operators and their machines. Serve it on a
// listener of its own.
func (s *Server) Admin() http.Handler {
	return s.router(
		route{"healthz", "/healthz", get, "", nil, s.healthz},
		route{"readyz", "/readyz", get, "", nil, s.readyz},
		route{"metrics", "/metrics", get, "", nil, s.serveMetrics},
		route{"pprof", "/debug/pprof", get, "", s.requireAdminToken, s.pprof},
		route{"pprof", "/debug/pprof/", get, "", s.requireAdminToken, s.pprof}, // the index's links are relative to this path
		route{"pprof", "/debug/pprof/{profile}", get, "", s.requireAdminToken, s.pprof},

		route{"admin_users", "/admin/apps/{app}/users", get, "", s.requireAdminToken, s.listUsers},
		route{"admin_add_user", "/admin/apps/{app}/users", methods{http.MethodPost}, "", s.requireAdminToken, s.addUser},
		route{"admin_user", "/admin/apps/{app}/users/{user}", get, "", s.requireAdminToken, s.showUser},
		route{"admin_change_user", "/admin/apps/{app}/users/{user}", methods{http.MethodPatch}, "", s.requireAdminToken, s.changeUser},
		route{"admin_remove_user", "/admin/apps/{app}/users/{user}", del, "", s.requireAdminToken, s.removeUser},
		route{"admin_sessions", "/admin/apps/{app}/users/{user}/sessions", get, "", s.requireAdminToken, s.userSessions},
		route{"admin_end_user", "/admin/apps/{app}/users/{user}/sessions", del, "", s.requireAdminToken, s.revokeUser},
		route{"admin_end", "/admin/apps/{app}/users/{user}/sessions/{id}", del, "", s.requireAdminToken, s.revokeSession},
		route{"admin_attacks", "/admin/apps/{app}/attacks", get, "", s.requireAdminToken, s.attacks},
		route{"admin_end_app", "/admin/apps/{app}/sessions", del, "", s.requireAdminToken, s.revokeApp},
	)
}

// Server is the HTTP layer of the gateway. It is safe for concurrent use. It
// holds no state that an answer depends on, so any number of instances may run.
type Server struct {
	engine         *session.Engine
	log            *slog.Logger
	metrics        *Metrics
	apps           map[string]app
	accounts       session.AccountManager // nil if no app's users can be managed
	headers        []tokenHeader          // of all apps, merged
	challenge      string                 // WWW-Authenticate while the app is not known: that of the first app
	trusted        []netip.Prefix
	adminToken     [sha256.Size]byte // digest
	usernameFields []string          // of all apps, each once
	adminOff       bool
	process        *Process
	pauses         *session.PauseDetector // nil if pauses are not noticed
	draining       func() error
	ready          func(ctx context.Context) error
	buffers        sync.Pool // of *[bufferSize]byte
}

// app is an App whose settings have been checked.
type app struct {
	tokenHeader
	usernameField string
	jwks          func() []byte
}

// Validate returns an error that names the first option that is missing or
// invalid.
func (o Options) Validate() error {
	switch {
	case o.Engine == nil:
		return errors.New("api: Engine is required")
	case o.Logger == nil:
		return errors.New("api: Logger is required")
	case o.Metrics == nil:
		return errors.New("api: Metrics is required")
	case strings.ContainsAny(o.AdminToken, asciiSpace):
		return errors.New("ADMIN_TOKEN contains white space, which ends the token in an Authorization header: give a token without white space")
	}
	for name, a := range o.Apps {
		if o.Engine.App(name) == nil {
			return fmt.Errorf("api: the engine has no app %q", name)
		}
		if _, err := newTokenHeader(a.HeaderName, a.HeaderTypes); err != nil {
			return &session.AppError{App: name, Err: err}
		}
		if slices.ContainsFunc(loginFields[1:], func(f field) bool { return f.name == a.UsernameField }) {
			return &session.AppError{App: name, Err: fmt.Errorf("USERNAME_FIELD is %s, which is another field of the login: give the user model's field, such as email", a.UsernameField)}
		}
	}
	for _, p := range o.TrustedProxies {
		if !p.IsValid() {
			return errors.New("TRUSTED_PROXIES contains an invalid network: give CIDRs such as 10.0.0.0/8")
		}
	}
	return nil
}
