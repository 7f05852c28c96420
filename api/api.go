package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"sync"

	"tokengate/session"
)

// Options is what a Server is made of.
type Options struct {
	Engine  *session.Engine
	Logger  *slog.Logger
	Metrics *Metrics

	// Apps tells what the engine needn't know of its apps, by name. An app
	// that is not in it has the defaults of App.
	Apps map[string]App

	// TrustedProxies are the networks whose X-Forwarded-For is believed; none
	// by default.
	TrustedProxies []netip.Prefix

	// AdminToken is the bearer token of the admin API; empty switches it off.
	AdminToken string

	// Draining says that the instance is about to stop, nil while it isn't; nil
	// func: never.
	Draining func() error

	// Ready says why Redis can't be reached, nil when it can; nil func: always.
	// It should answer within ReadyTimeout.
	Ready func(ctx context.Context) error
}

// App is what the wire needs of one app beyond the engine's session.App.
type App struct {
	HeaderTypes []string      // AUTH_HEADER_TYPES; empty: JWT, Bearer
	HeaderName  string        // AUTH_HEADER_NAME; empty: Authorization
	JWKS        func() []byte // the JWK Set of the app's public keys, as JSON; nil: no keys
}

// app is an App that has been checked.
type app struct {
	header
	jwks func() []byte
}

// Validate names the first option that is missing or out of its bounds.
func (o Options) Validate() error {
	switch {
	case o.Engine == nil:
		return errors.New("api: Engine is required")
	case o.Logger == nil:
		return errors.New("api: Logger is required")
	case o.Metrics == nil:
		return errors.New("api: Metrics is required")
	case strings.ContainsAny(o.AdminToken, asciiSpace):
		return errors.New("ADMIN_TOKEN holds white space, at which an Authorization header ends a token: give one without")
	}
	for name, a := range o.Apps {
		if o.Engine.App(name) == nil {
			return fmt.Errorf("api: the engine has no app %q", name)
		}
		if _, err := newHeader(a.HeaderName, a.HeaderTypes); err != nil {
			return fmt.Errorf("app %s: %w", name, err)
		}
	}
	for _, p := range o.TrustedProxies {
		if !p.IsValid() {
			return errors.New("TRUSTED_PROXIES holds no network: give CIDRs such as 10.0.0.0/8")
		}
	}
	return nil
}

// Server is the gateway's HTTP face. It is safe for concurrent use and holds
// nothing that an answer rests on.
type Server struct {
	engine     *session.Engine
	log        *slog.Logger
	metrics    *Metrics
	apps       map[string]app
	headers    []header // the union of all apps'
	challenge  string   // where no app is known yet: the first app's
	trusted    []netip.Prefix
	adminToken [sha256.Size]byte
	adminOff   bool
	draining   func() error
	ready      func(ctx context.Context) error
	buffers    sync.Pool
}

// New checks opts and makes a Server of them.
func New(opts Options) (*Server, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	s := &Server{
		engine: opts.Engine, log: opts.Logger, metrics: opts.Metrics, apps: map[string]app{},
		trusted: opts.TrustedProxies, draining: opts.Draining, ready: opts.Ready,
		adminToken: sha256.Sum256([]byte(opts.AdminToken)), adminOff: opts.AdminToken == "",
	}
	var headers []header
	for _, a := range opts.Engine.Apps {
		h, _ := newHeader(opts.Apps[a.Name].HeaderName, opts.Apps[a.Name].HeaderTypes) // Validate has seen to it
		s.apps[a.Name] = app{h, opts.Apps[a.Name].JWKS}
		headers = append(headers, h)
	}
	s.headers = union(headers)
	if len(headers) > 0 {
		s.challenge = headers[0].challenge
	}
	return s, nil
}

// Public is the API that apps and their users reach.
func (s *Server) Public() http.Handler {
	return s.router(
		route{"login", "/api/session/login", post, "Initialize Session", nil, s.login},
		route{"refresh", "/api/session/refresh", post, "Refresh Session", nil, s.refresh},
		route{"list", "/api/session/list", post, "List Of Active Sessions", s.bearer, s.list},
		route{"destroy", "/api/session/destroy", post, "Destroy Session By Id", s.bearer, s.destroy},
		route{"destroy_others", "/api/session/destroyAllOther", post, "Destroy All Other Sessions", s.bearer, s.destroyOthers},
		route{"logout", "/api/session/logout", post, "Logout", nil, s.logout},
		route{"verify", "/api/session/verify", post, "Verify Token", nil, s.verify},

		route{"authz", "/apps/{app}/authz", every, "", nil, s.authz},
		route{"authz", "/apps/{app}/authz/", every, "", nil, s.authz}, // proxies are set up by hand
		route{"jwks", "/apps/{app}/jwks.json", get, "", nil, s.jwks},
	)
}

// Admin is for operators and their machines, on a listener of its own.
func (s *Server) Admin() http.Handler {
	return s.router(
		route{"healthz", "/healthz", get, "", nil, s.healthz},
		route{"readyz", "/readyz", get, "", nil, s.readyz},
		route{"metrics", "/metrics", get, "", nil, other(s.metrics.handler())},
		route{"pprof", "/debug/pprof", get, "", nil, other(http.HandlerFunc(pprof.Index))},
		route{"pprof", "/debug/pprof/", get, "", nil, other(http.HandlerFunc(pprof.Index))}, // where its links lead on from
		route{"pprof", "/debug/pprof/{profile}", get, "", nil, s.pprof},

		route{"admin_sessions", "/admin/apps/{app}/users/{user}/sessions", get, "", s.admin, s.userSessions},
		route{"admin_end_user", "/admin/apps/{app}/users/{user}/sessions", del, "", s.admin, s.endUser},
		route{"admin_end", "/admin/apps/{app}/users/{user}/sessions/{id}", del, "", s.admin, s.endSession},
		route{"admin_end_app", "/admin/apps/{app}/sessions", del, "", s.admin, s.endApp},
	)
}

// route is one endpoint. Those of the seed's kind are served with a slash at
// the end of their path, too; for the others that is another path, since one
// may stand for more than the other.
type route struct {
	name    string // in metrics, in the log and in the table of answers
	path    string
	methods methods
	title   string                  // what OPTIONS calls an endpoint of the seed's kind; empty for the others
	guard   func(x *exchange) error // who may pass, before anything else is looked at; nil: everybody
	handle  func(x *exchange) error // answers, or says why not
}
