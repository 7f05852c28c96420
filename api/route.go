package api

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"tokengate/session"
)

// route is one endpoint. A route with a title is one of the Django app's
// endpoints, or answers like one, and its path is also served with a trailing
// slash. For other routes a trailing slash makes a different path: .../sessions/
// has an empty session id, and must not be taken for .../sessions, which names
// all sessions.
type route struct {
	name    string // in metrics, in the log and in the table of answers
	path    string
	methods methods
	title   string                  // the "name" in the answer to OPTIONS; empty for routes that do not answer it
	guard   func(x *exchange) error // runs before every other check and may reject the caller; nil admits every caller
	handle  func(x *exchange) error // writes the answer, or returns an error and writes nothing
}

// methods lists the HTTP methods that an endpoint accepts. The zero value
// accepts every method.
type methods []string

var (
	anyMethod methods
	post      = methods{http.MethodPost, http.MethodOptions}
	get       = methods{http.MethodGet, http.MethodHead}
	del       = methods{http.MethodDelete}
)

func (m methods) has(method string) bool { return m == nil || slices.Contains(m, method) }

// router returns a handler for routes. Routes that share a path differ in their
// methods.
func (s *Server) router(routes ...route) http.Handler {
	r := chi.NewRouter()
	handlers := map[string]http.HandlerFunc{} // by pattern
	handle := func(pattern string, h http.HandlerFunc) {
		handlers[pattern] = h
		r.Handle(pattern, h)
	}
	for _, rt := range routes {
		if handlers[rt.path] != nil {
			continue
		}
		h := serve(slices.DeleteFunc(slices.Clone(routes), func(other route) bool { return other.path != rt.path }))
		handle(rt.path, h)
		if rt.title != "" {
			handle(rt.path+"/", h)
		}
		if before, after, ok := strings.Cut(rt.path, "/{app}/"); ok {
			for name := range s.apps {
				handle(before+"/"+name+"/"+after, withApp(name, h))
			}
		}
	}
	handlers[""] = serve([]route{{handle: notFound}})
	r.NotFound(handlers[""])
	// A path's own handler decides about methods: forward-auth takes any, and the others
	// check the caller before the method. Handle covers the methods that chi knows; for
	// any other method chi calls this.
	r.MethodNotAllowed(func(w http.ResponseWriter, req *http.Request) {
		handlers[r.Find(chi.RouteContext(req.Context()), http.MethodGet, cmp.Or(req.URL.RawPath, req.URL.Path))](w, req)
	})
	return s.observe(r)
}

// withApp serves a path that contains an app's name. The apps are known when the
// router is built, and chi finds a path without parameters in half the time.
func withApp(name string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.(*exchange).pathApp = name // observe passes an exchange
		next(w, r)
	}
}

// notFound handles every path without a route.
func notFound(*exchange) error { return session.Fail(codeNotFound, nil) }

// serve returns a handler for the routes of one path.
func serve(routes []route) http.HandlerFunc {
	var all methods
	for _, rt := range routes {
		all = append(all, rt.methods...)
	}
	allow := strings.Join(all, ", ")
	return func(w http.ResponseWriter, r *http.Request) {
		x := w.(*exchange) // observe passes an exchange
		x.Request = r
		rt := &routes[0]
		for i := range routes {
			if routes[i].methods.has(r.Method) {
				rt = &routes[i]
			}
		}
		x.endpoint = rt.name
		if rt.title != "" {
			x.options = r.Method == http.MethodOptions
			x.setDjangoHeaders()
		}
		if err := rt.run(x, allow); err != nil {
			x.writeError(err)
		}
	}
}

// Header values that all answers share; net/http only reads them.
var (
	allowPost  = []string{strings.Join(post, ", ")}
	varyAccept = []string{"Accept"}
	noFrame    = []string{"DENY"}
	noSniff    = []string{"nosniff"}
	sameOrigin = []string{"same-origin"}
)

// setDjangoHeaders sets the headers that the Django app sends with every answer.
func (x *exchange) setDjangoHeaders() {
	h := x.Header()
	h["Allow"], h["Vary"] = allowPost, varyAccept
	h["X-Frame-Options"], h["X-Content-Type-Options"], h["Referrer-Policy"] = noFrame, noSniff, sameOrigin
}

// run handles a request in the Django app's order of checks: the caller, the
// method, then the body. allow lists the methods of all routes with this path.
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
		x.writeOptions(rt.title)
		return nil
	}
	return rt.handle(x)
}

// writeOptions answers OPTIONS.
func (x *exchange) writeOptions(title string) {
	b := appendMember(append(x.buffer(), '{'), "name", title)
	b = appendMember(b, "description", "")
	b = appendList(appendKey(b, "renders"), []string{mediaJSON})
	b = appendList(appendKey(b, "parses"), []string{mediaJSON, mediaForm, mediaMultipart})
	x.write(http.StatusOK, append(b, '}'))
}

// param returns a parameter of the path, unescaped.
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
