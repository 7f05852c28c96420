package api

import (
	"errors"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"tokengate/session"
)

// header is how an app's access tokens come: AUTH_HEADER_NAME and
// AUTH_HEADER_TYPES.
type header struct {
	name      string   // canonical
	types     []string // case matters, as in simplejwt
	challenge string   // the WWW-Authenticate of a 401, as the seed's framework makes it
}

// newHeader checks an app's settings. The name may be written as a header or,
// as simplejwt has it, as a WSGI variable ("HTTP_X_ACCESS_TOKEN").
func newHeader(name string, types []string) (header, error) {
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
		return header{}, errors.New("AUTH_HEADER_NAME is no header's name: give letters, digits and -, such as Authorization")
	case slices.Contains(ownOfHTTP, name):
		return header{}, errors.New("AUTH_HEADER_NAME is " + name + ", which HTTP uses itself, so no token can come in it: give another, such as Authorization")
	}
	for _, t := range types {
		if t == "" || strings.ContainsAny(t, asciiSpace+`"`) {
			return header{}, errors.New("AUTH_HEADER_TYPES holds no scheme: give words such as JWT or Bearer")
		}
	}
	return header{name, types, types[0] + ` realm="api"`}, nil
}

// isTokenChar tells what a header's name is made of (RFC 9110 section 5.6.2).
func isTokenChar(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// ownOfHTTP are headers that servers and proxies on the way read for themselves.
// Some of them never reach a handler, or only with the values that HTTP knows.
var ownOfHTTP = []string{
	"Host", "Connection", "Content-Length", "Content-Type", "Expect", "Keep-Alive", "Proxy-Connection", "Te",
	"Trailer", "Transfer-Encoding", "Upgrade",
}

// union is the headers of several apps as one reads them before it is known
// whose token a request carries: each name once, with the types of all.
func union(headers []header) []header {
	var out []header
	for _, h := range headers {
		i := slices.IndexFunc(out, func(o header) bool { return o.name == h.name })
		if i < 0 {
			out = append(out, header{h.name, slices.Clone(h.types), h.challenge})
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

// credentials is an access token and how it came.
type credentials struct {
	scheme, token string
}

// readCredentials reads the header h. Fails with codeNotAuthenticated when it
// has no scheme of h's, codeBadAuthorization when it is not "scheme token".
func readCredentials(in http.Header, h header) (credentials, error) {
	scheme, token, parts := splitAuthorization(in[h.name])
	switch {
	case !slices.Contains(h.types, scheme):
		return credentials{}, session.Fail(codeNotAuthenticated, nil)
	case parts != 2:
		return credentials{}, session.Fail(codeBadAuthorization, nil)
	}
	return credentials{scheme, token}, nil
}

// splitAuthorization splits a header at white space, and counts the parts; a
// repeated header is one with commas, as WSGI servers have it, which makes it
// as bad as one with too many parts.
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

// nextWord cuts the first word off s; "" when there is none.
func nextWord(s string) (word, rest string) {
	s = strings.TrimLeft(s, asciiSpace)
	if end := strings.IndexAny(s, asciiSpace); end >= 0 {
		return s[:end], s[end:]
	}
	return s, ""
}

const asciiSpace = " \t\n\v\f\r"

// bearer is the guard of the endpoints that ask for an access token of any
// app's. The header must be as the token's own app wants it. Another header may
// hold what is no token of ours, as that of a proxy that has its own users: of
// several refusals the first is told that is about a token.
func (s *Server) bearer(x *exchange) error {
	refusal := error(session.Fail(codeNotAuthenticated, nil))
	for _, h := range s.headers {
		known, err := s.callerBy(x, h)
		if known {
			return err
		}
		if session.CodeOf(refusal) == codeNotAuthenticated {
			refusal = err
		}
	}
	return refusal
}

// callerBy takes the caller from one header. known tells that the token is one
// of ours, in the header that it belongs in, as it always is without an error.
func (s *Server) callerBy(x *exchange, h header) (known bool, err error) {
	found, err := readCredentials(x.Request.Header, h)
	if err != nil {
		return false, err
	}
	caller, err := s.engine.Authenticate(x.ctx(), found.token)
	if caller.App == nil {
		return false, err
	}
	own := s.apps[caller.App.Name]
	x.challenge = own.challenge
	if own.name != h.name || !slices.Contains(own.types, found.scheme) {
		return false, session.Fail(codeNotAuthenticated, nil)
	}
	x.note(caller)
	x.caller = caller
	return true, err
}
