package api

import (
	"net/http"
	"net/url"

	"tokengate/session"
)

// authz answers a proxy that asks whether it may forward a request of any method
// (forward-auth, auth_request, ext_authz). It reads only the header of the app
// that the path names, and accepts only that app's tokens.
func (s *Server) authz(x *exchange) error {
	name := x.param("app")
	app, ok := s.apps[name]
	if !ok {
		return session.Fail(codeNotFound, nil) // not a 401: a misconfigured proxy must not look like a logged-out user
	}
	x.app, x.challenge = name, app.challenge
	found, err := readCredentials(x.Request.Header, app.anyCase())
	if err != nil {
		return err
	}
	caller, err := s.engine.Verify(x.Request.Context(), name, found.token)
	if err != nil {
		return err
	}
	x.logCaller(caller)
	x.debugOnly = true // one per request to the app, which has a log of its own
	x.setHeader("X-Auth-User", headerText(caller.Claims.User.String()))
	// If the token has no session, these are empty but present, so that the proxy
	// has a value that replaces what the client may have sent in these headers.
	x.setHeader("X-Auth-Session", headerText(string(caller.Claims.Session)))
	x.setHeader("X-Auth-Type", string(caller.Claims.Session.Type()))
	x.WriteHeader(http.StatusOK)
	return nil
}

// headerText returns s if it is printable ASCII without spaces or %, else s with
// URL escapes. A header cannot hold every user id, and two ids must never look
// the same to an upstream.
func headerText(s string) string {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '%' {
			return url.PathEscape(s)
		}
	}
	return s
}
