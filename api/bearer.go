package api

import (
	"errors"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"tokengate/session"
)

// tokenHeader is the header in which an app's access tokens are sent, from
// AUTH_HEADER_NAME and AUTH_HEADER_TYPES.
type tokenHeader struct {
	name      string   // in canonical form
	types     []string // authentication schemes
	foldCase  bool     // schemes are case-insensitive (RFC 9110 section 11.1); in simplejwt they are not
	challenge string   // WWW-Authenticate of a 401, as Django REST framework builds it
}

// newTokenHeader checks an app's settings and applies the defaults. The name may
// be a header's name or, as in simplejwt, a WSGI variable ("HTTP_X_ACCESS_TOKEN").
func newTokenHeader(name string, types []string) (tokenHeader, error) {
	if name == "" {
		name = "Authorization"
	}
	if len(types) == 0 {
		types = []string{"JWT", "Bearer"}
	}
	if wsgi, ok := strings.CutPrefix(name, "HTTP_"); ok {
		name = strings.ReplaceAll(wsgi, "_", "-")
	}
	name = textproto.CanonicalMIMEHeaderKey(name)
	switch {
	case name == "", strings.ContainsFunc(name, func(r rune) bool { return !isTokenChar(r) }):
		return tokenHeader{}, errors.New("AUTH_HEADER_NAME is not a valid header name: give letters, digits and -, such as Authorization")
	case slices.Contains(reservedHeaders, name):
		return tokenHeader{}, errors.New("AUTH_HEADER_NAME is " + name + ", which HTTP itself uses, so it cannot carry a token: give another header, such as Authorization")
	}
	for _, t := range types {
		if t == "" || strings.ContainsAny(t, asciiSpace+`"`) {
			return tokenHeader{}, errors.New("AUTH_HEADER_TYPES contains an invalid scheme: give words such as JWT or Bearer")
		}
	}
	return tokenHeader{name: name, types: types, challenge: types[0] + ` realm="api"`}, nil
}

// anyCase returns h with case-insensitive schemes, for endpoints that the Django app does
// not have.
func (h tokenHeader) anyCase() tokenHeader {
	h.foldCase = true
	return h
}

// accepts reports whether scheme is one of the header's.
func (h tokenHeader) accepts(scheme string) bool {
	return slices.ContainsFunc(h.types, func(t string) bool {
		return t == scheme || h.foldCase && strings.EqualFold(t, scheme)
	})
}

// isTokenChar reports whether r may be part of a header's name (RFC 9110
// section 5.6.2).
func isTokenChar(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// reservedHeaders lists headers that servers and proxies interpret themselves.
// Some of them never reach a handler, or only with the values that HTTP defines.
var reservedHeaders = []string{
	"Host", "Connection", "Content-Length", "Content-Type", "Expect", "Keep-Alive", "Proxy-Connection", "Te",
	"Trailer", "Transfer-Encoding", "Upgrade",
}

// mergeHeaders merges the headers of several apps: each name is listed once, with
// the types of all apps that use it. Requests are read with the merged headers
// until the token's app is known.
func mergeHeaders(headers []tokenHeader) []tokenHeader {
	var out []tokenHeader
	for _, h := range headers {
		i := slices.IndexFunc(out, func(o tokenHeader) bool { return o.name == h.name })
		if i < 0 {
			out = append(out, tokenHeader{name: h.name, types: slices.Clone(h.types), challenge: h.challenge})
			continue
		}
		for _, t := range h.types {
			if !slices.Contains(out[i].types, t) {
				out[i].types = append(out[i].types, t)
			}
		}
	}
	return out
}

// credentials is an access token and its authentication scheme.
type credentials struct {
	scheme, token string
}

// readCredentials reads the header h. It fails with codeNotAuthenticated if the
// scheme is missing or not one of h.types, and with codeBadAuthorization if the
// value is not "scheme token".
func readCredentials(in http.Header, h tokenHeader) (credentials, error) {
	scheme, token, parts := splitAuthorization(in[h.name])
	switch {
	case !h.accepts(scheme):
		return credentials{}, session.Fail(codeNotAuthenticated, nil)
	case parts != 2:
		return credentials{}, session.Fail(codeBadAuthorization, nil)
	}
	return credentials{scheme, token}, nil
}

// splitAuthorization splits a header's value at white space and counts the parts.
// A repeated header is joined with commas, as WSGI servers do, so that it is
// rejected like a value with too many parts.
func splitAuthorization(values []string) (scheme, token string, parts int) {
	if len(values) > 1 {
		values = []string{strings.Join(values, ",")}
	}
	for _, v := range values {
		for part, rest := nextWord(v); part != ""; part, rest = nextWord(rest) {
			switch parts++; parts {
			case 1:
				scheme = part
			case 2:
				token = part
			}
		}
	}
	return scheme, token, parts
}

// nextWord returns the first word of s and the rest. The word is empty if s has
// none.
func nextWord(s string) (word, rest string) {
	s = strings.TrimLeft(s, asciiSpace)
	if end := strings.IndexAny(s, asciiSpace); end >= 0 {
		return s[:end], s[end:]
	}
	return s, ""
}

const asciiSpace = " \t\n\v\f\r"

// requireAccessToken is the guard of the endpoints that need an access token of
// any app. The token must be in the header that its own app is configured for.
// Another header may carry a foreign token, such as that of a proxy with its own
// users. If no header has a good token, the result is the first error other than
// codeNotAuthenticated, because that error is about a token.
func (s *Server) requireAccessToken(x *exchange) error {
	firstErr := error(session.Fail(codeNotAuthenticated, nil))
	for _, h := range s.headers {
		ours, err := s.authenticateFrom(x, h)
		if ours {
			return err
		}
		if session.CodeOf(firstErr) == codeNotAuthenticated {
			firstErr = err
		}
	}
	return firstErr
}

// authenticateFrom sets the caller from the token in header h, and the challenge
// once the token's app is known. ours reports whether the token belongs to one of
// the apps and is in that app's header; it is true whenever err is nil.
func (s *Server) authenticateFrom(x *exchange, h tokenHeader) (ours bool, err error) {
	found, err := readCredentials(x.Request.Header, h)
	if err != nil {
		return false, err
	}
	caller, err := s.engine.Authenticate(x.ctx(), found.token)
	if caller.App == nil {
		return false, err
	}
	app := s.apps[caller.App.Name]
	x.challenge = app.challenge
	if app.name != h.name || !app.accepts(found.scheme) {
		return false, session.Fail(codeNotAuthenticated, nil)
	}
	x.logCaller(caller)
	x.caller = caller
	return true, err
}
