package api

import (
	"net/http"

	"tokengate/session"
)

// jwksCache lets verifiers cache the keys for five minutes. A new key must be
// published that long before it signs.
const jwksCache = "public, max-age=300"

var noKeys = []byte(`{"keys":[]}`)

// jwks returns an app's public keys (RFC 7517). An app that signs with a shared
// secret has none.
func (s *Server) jwks(x *exchange) error {
	app, ok := s.apps[x.param("app")]
	if !ok {
		return session.Fail(codeNotFound, nil)
	}
	keys := noKeys
	if app.jwks != nil {
		keys = app.jwks()
	}
	x.Header().Set("Cache-Control", jwksCache)
	x.write(http.StatusOK, keys)
	return nil
}
