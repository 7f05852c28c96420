package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"tokengate/session"
)

// methods is what an endpoint answers to.
type methods []string

// The zero value stands for every method.
var (
	every methods
	post  = methods{http.MethodPost, http.MethodOptions}
	get   = methods{http.MethodGet, http.MethodHead}
	del   = methods{http.MethodDelete}
)

func (m methods) has(method string) bool { return m == nil || slices.Contains(m, method) }

// router serves routes. Those that share a path differ in their methods.
func (s *Server) router(routes ...route) http.Handler {
	r := chi.NewRouter()
	r.Use(ignoreMethod)
	r.NotFound(serve([]route{{handle: notFound}}))
	served := map[string]bool{}
	for _, rt := range routes {
		if served[rt.path] {
			continue
		}
		served[rt.path] = true
		h := serve(slices.DeleteFunc(slices.Clone(routes), func(other route) bool { return other.path != rt.path }))
		r.Post(rt.path, h)
		if rt.title != "" {
			r.Post(rt.path+"/", h)
		}
		if before, after, ok := strings.Cut(rt.path, "/{app}/"); ok {
			for name := range s.apps {
				r.Post(before+"/"+name+"/"+after, ofApp(name, h))
			}
		}
	}
	return s.observe(r)
}

// ofApp serves the path of one app. Those are known, and a path without
// parameters is found in half the time.
func ofApp(name string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.(*exchange).pathApp = name // observe has made it
		next(w, r)
	}
}

// ignoreMethod has chi find a route by its path alone: it knows no method but
// the usual ones, and who asks comes before how.
func ignoreMethod(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chi.RouteContext(r.Context()).RouteMethod = http.MethodPost
		next.ServeHTTP(w, r)
	})
}

// notFound answers for every path without a route, in JSON like the rest.
func notFound(*exchange) error { return session.Fail(codeNotFound, nil) }

// serve makes a handler of the routes of one path.
func serve(routes []route) http.HandlerFunc {
	var all methods
	for _, rt := range routes {
		all = append(all, rt.methods...)
	}
	allow := strings.Join(all, ", ")
	return func(w http.ResponseWriter, r *http.Request) {
		x := w.(*exchange) // observe has made it
		x.Request = r
		rt := &routes[0]
		for i := range routes {
			if routes[i].methods.has(r.Method) {
				rt = &routes[i]
			}
		}
		x.endpoint = rt.name
		if rt.title != "" {
			x.seedHeaders()
		}
		if err := rt.run(x, allow); err != nil {
			x.refuse(err)
		}
	}
}

// Shared by all answers: net/http only reads them.
var (
	allowPost  = []string{strings.Join(post, ", ")}
	varyAccept = []string{"Accept"}
	noFrame    = []string{"DENY"}
	noSniff    = []string{"nosniff"}
	sameOrigin = []string{"same-origin"}
)

// seedHeaders are on every answer of the seed's endpoints.
func (x *exchange) seedHeaders() {
	h := x.Header()
	h["Allow"], h["Vary"] = allowPost, varyAccept
	h["X-Frame-Options"], h["X-Content-Type-Options"], h["Referrer-Policy"] = noFrame, noSniff, sameOrigin
}

// run keeps the seed's order of checks: who asks, how, what. allow is what the
// route's path answers to, other routes included.
func (rt *route) run(x *exchange, allow string) error {
	if rt.guard != nil {
		if err := rt.guard(x); err != nil {
			return err
		}
	}
	switch method := x.Request.Method; {
	case !rt.methods.has(method):
		if rt.title == "" {
			x.Header().Set("Allow", allow)
		}
		return methodNotAllowed(method)
	case rt.title != "" && method == http.MethodOptions:
		x.describe(rt.title)
		return nil
	}
	return rt.handle(x)
}

// describe answers OPTIONS.
func (x *exchange) describe(title string) {
	b := appendMember(append(x.buffer(), '{'), "name", title)
	b = appendMember(b, "description", "")
	b = appendList(appendKey(b, "renders"), []string{mediaJSON})
	b = appendList(appendKey(b, "parses"), []string{mediaJSON, mediaForm, mediaMultipart})
	x.write(http.StatusOK, append(b, '}'))
}

// param is a part of the path, unescaped.
func (x *exchange) param(name string) string {
	if name == "app" && x.pathApp != "" {
		return x.pathApp
	}
	raw := chi.URLParam(x.Request, name)
	if x.Request.URL.RawPath == "" {
		return raw // chi has matched the unescaped path
	}
	if plain, err := url.PathUnescape(raw); err == nil {
		return plain
	}
	return raw
}

// other serves a handler of another make.
func other(h http.Handler) func(*exchange) error {
	return func(x *exchange) error {
		h.ServeHTTP(x, x.Request)
		return nil
	}
}
