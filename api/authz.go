package api

import (
	"net/http"
	"net/url"

	"tokengate/session"
)

// authz answers a proxy that asks whether a request may pass, whatever its
// method (forward-auth, auth_request, ext_authz). Only the header of the app
// that the path names is read, and only that app's tokens count.
func (s *Server) authz(x *exchange) error {
	name := x.param("app")
	own, ok := s.apps[name]
	if !ok {
		return session.Fail(codeNotFound, nil) // a proxy that is set up wrong must not look like a user signed out
	}
	x.app, x.challenge = name, own.challenge
	found, err := readCredentials(x.Request.Header, own.header)
	if err != nil {
		return err
	}
	caller, err := s.engine.Verify(x.Request.Context(), name, found.token)
	if err != nil {
		return err
	}
	x.note(caller)
	x.quiet = true // once per request of the app: its own log tells them
	x.setHeader("X-Auth-User", headerText(caller.Claims.User.String()))
	// Empty where the token doesn't tell, but there: a proxy then has something
	// to put in place of what the client may have sent under these names.
	x.setHeader("X-Auth-Session", headerText(string(caller.Claims.Session)))
	x.setHeader("X-Auth-Type", string(caller.Claims.Session.Type()))
	x.WriteHeader(http.StatusOK)
	return nil
}

// headerText is s where it is plain ASCII without spaces, else s as a URL
// escapes it: a header can't hold everything that a user id can, and two ids
// must never look the same to an upstream.
func headerText(s string) string {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '%' {
			return url.PathEscape(s)
		}
	}
	return s
}
