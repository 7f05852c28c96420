package api

import (
	"errors"
	"net/http"
	"strconv"

	"tokengate/session"
)

// The codes of refusals that the engine has no part in. The first six are the
// words of the seed's framework, which its clients may know.
const (
	codeInvalid          session.Code = "invalid"
	codeParseError       session.Code = "parse_error"
	codeNotAuthenticated session.Code = "not_authenticated"
	codeMethodNotAllowed session.Code = "method_not_allowed"
	codeUnsupportedMedia session.Code = "unsupported_media_type"
	codeNotFound         session.Code = "not_found"
	codeBadAuthorization session.Code = "bad_authorization_header"
	codeTooLarge         session.Code = "too_large"
	codeAdminOff         session.Code = "admin_off"
	codeAdminToken       session.Code = "admin_token"
	codeNotReady         session.Code = "not_ready"
	codeClientGone       session.Code = "client_gone" // in metrics and log only: nobody reads the answer
)

// answer is how a refusal looks on the wire.
type answer struct {
	status   int
	text     string
	nonField bool   // text is a list under "non_field_errors", else it is "detail"
	word     string // the member "code"; empty: the code itself
	message  string // what "messages" says of an access token; empty: no such member
}

// row is a code's answer, and what it is instead at the endpoints where the
// seed answers otherwise.
type row struct {
	answer
	at at
}

type at map[string]answer

// The seed's texts.
const (
	badCredentials  = "Invalid Credentials or not active account found!"
	noActiveAccount = "No active account found with the given credentials"
	invalidToken    = "Token is invalid or expired"
	tokenNotValid   = "token_not_valid"
)

func status(status int, text string) answer { return answer{status: status, text: text} }

func unauthorized(text string) answer { return status(http.StatusUnauthorized, text) }

func nonField(text string) answer {
	return answer{status: http.StatusBadRequest, text: text, nonField: true}
}

// refusedAs is the seed's answer to a token that is no good access token.
func refusedAs(message string) row {
	a := unauthorized("Given token not valid for any token type")
	a.word, a.message = tokenNotValid, message
	return row{a, at{"verify": notValid}}
}

// Answers that several codes share. noLogin tells nobody who is a user.
var (
	noLogin  = answer{status: http.StatusBadRequest, text: badCredentials, nonField: true, word: string(session.InvalidCredentials)}
	notValid = answer{status: http.StatusUnauthorized, text: invalidToken, word: tokenNotValid}
	noUser   = answer{status: http.StatusUnauthorized, text: "Token contained no recognizable user identification", word: tokenNotValid}
	notLive  = unauthorized(noActiveAccount)
	notThere = status(http.StatusNotFound, "No such session.")
)

// wire is the one table from codes to answers.
var wire = map[session.Code]row{
	// Login, and the parameters of the others. The login's answers for a user
	// who is gone or inactive are those for a wrong password.
	session.InvalidCredentials: {noLogin, nil},
	session.InvalidClient:      {nonField(badCredentials), nil},
	session.InvalidType: {nonField("Invalid Session Type. Valid options: ['LONG', 'SHORT']"), at{
		"list":           nonField("Invalid Session Type. Valid options: ['LONG', 'SHORT', 'ALL']"),
		"destroy_others": nonField("Invalid Session Type"),
	}},
	session.LimitReached: {status(http.StatusBadRequest, "Reached max number of sessions."), nil},
	session.UserUnknown:  {unauthorized("User not found"), at{"login": noLogin, "refresh": notLive}},
	session.UserInactive: {unauthorized("User is inactive"), at{"login": noLogin, "refresh": notLive}},

	// What became of a session. To a refresh token that no longer counts the
	// seed always says notLive, so a client needs no new case; the code and the
	// cause tell the rest to those who ask "why was I signed out?".
	session.Unknown:      {notLive, at{"verify": notValid, "admin_end": notThere}},
	session.Ended:        {notLive, at{"admin_end": notThere}},
	session.Expired:      {notValid, at{"destroy": notLive, "admin_end": notThere}},
	session.TypeMismatch: {notValid, nil},
	session.Replayed:     {notLive, nil},
	session.Spent:        {notLive, nil},

	// An access token, in the texts of simplejwt. One whose session has ended
	// looks like one that has expired, for that is how a client must act on it.
	session.TokenInvalid:   refusedAs(invalidToken),
	session.TokenRevoked:   refusedAs(invalidToken),
	session.TokenWrongKind: refusedAs("Token has wrong type"),
	session.TokenNoExpiry:  refusedAs("Token has no 'exp' claim"),
	session.TokenNoID:      refusedAs("Token has no id"),
	session.TokenNoKind:    refusedAs("Token has no type"),
	session.TokenNoUser:    {noUser, at{"verify": notValid}},

	// Cannot tell: never a 401, on which clients throw their tokens away.
	session.Busy:        {status(http.StatusServiceUnavailable, "Too many logins wait for their turn. Try again."), nil},
	session.Unavailable: {status(http.StatusServiceUnavailable, "This can't be told right now. Try again."), nil},
	session.Internal:    {status(http.StatusInternalServerError, "Internal server error."), nil},

	// For operators.
	session.AppUnknown: {status(http.StatusNotFound, "No such app."), nil},
	session.UserExists: {status(http.StatusConflict, "Another user has this name."), nil},

	// Refused before there was a step.
	codeNotAuthenticated: {unauthorized("Authentication credentials were not provided."), nil},
	codeBadAuthorization: {unauthorized("Authorization header must contain two space-delimited values"), nil},
	codeNotFound:         {status(http.StatusNotFound, "Not found."), nil},
	codeTooLarge:         {status(http.StatusRequestEntityTooLarge, "The request's body is larger than 64 KiB."), nil},
	codeAdminOff:         {status(http.StatusForbidden, "The admin API is off: no ADMIN_TOKEN is set."), nil},
	codeAdminToken:       {unauthorized("The admin token is missing or wrong."), nil},
}

// problem is a refusal whose words depend on the request.
type problem struct {
	answer
	code   session.Code
	faults []fault // instead of the text
}

// fault is what is wrong with one field.
type fault struct {
	field    string
	messages []string
}

// Error gives the code: the words are of the client's own making.
func (p *problem) Error() string { return string(p.code) }

// malformed is a body that can't be read at all.
func malformed(text string) *problem {
	return &problem{answer: status(http.StatusBadRequest, text), code: codeParseError}
}

// notAnObject is a JSON body that has no fields, being no object.
func notAnObject(text string) *problem { return &problem{answer: nonField(text), code: codeInvalid} }

func invalidFields(faults []fault) *problem {
	return &problem{answer: answer{status: http.StatusBadRequest}, code: codeInvalid, faults: faults}
}

// unsupportedMediaType tells the type as it was sent, parameters included.
func unsupportedMediaType(sent string) *problem {
	text := "Unsupported media type \"" + sent + "\" in request."
	return &problem{answer: status(http.StatusUnsupportedMediaType, text), code: codeUnsupportedMedia}
}

func methodNotAllowed(method string) *problem {
	text := "Method \"" + method + "\" not allowed."
	return &problem{answer: status(http.StatusMethodNotAllowed, text), code: codeMethodNotAllowed}
}

// problemOf is err as it looks at an endpoint. A code that the table does not
// know is a defect, and its details are hidden.
func problemOf(err error, endpoint string) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	code := session.CodeOf(err)
	found, ok := wire[code]
	if !ok {
		code = session.Internal
		found = wire[code]
	}
	if a, ok := found.at[endpoint]; ok {
		found.answer = a
	}
	return &problem{answer: found.answer, code: code}
}

// appendTo appends the body: the seed's members first, then what we add.
func (p *problem) appendTo(b []byte, cause session.Cause) []byte {
	b = append(b, '{')
	for _, f := range p.faults {
		b = appendList(appendKey(b, f.field), f.messages)
	}
	switch {
	case p.nonField:
		b = appendList(appendKey(b, "non_field_errors"), []string{p.text})
	case p.faults == nil:
		b = appendMember(b, "detail", p.text)
	}
	word := p.word
	if word == "" {
		word = string(p.code)
	}
	b = appendMember(b, "code", word)
	if p.message != "" {
		b = append(b, `,"messages":[{"token_class":"AccessToken","token_type":"access"`...)
		b = append(appendMember(b, "message", p.message), '}', ']')
	}
	if cause != "" {
		b = appendMember(b, "cause", string(cause))
	}
	return append(b, '}')
}

func appendList(b []byte, items []string) []byte {
	b = append(b, '[')
	for i, item := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, item)
	}
	return append(b, ']')
}

// retryAfter is how long a client should wait before it asks again, in seconds.
const retryAfter = 1

// refuse answers with err.
func (x *exchange) refuse(err error) {
	p := problemOf(err, x.endpoint)
	x.code, x.err = p.code, err
	if p.status >= http.StatusInternalServerError && x.ctx().Err() != nil {
		x.code = codeClientGone // why the step came to nothing: no fault of the gateway or its store
	}
	switch p.status {
	case http.StatusUnauthorized:
		x.Header().Set("WWW-Authenticate", x.challenge)
	case http.StatusServiceUnavailable:
		x.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	cause := session.CauseOf(err)
	if cause == "" && p.code == session.Expired {
		cause = session.CauseExpired // found out by the token itself, before any store could say
	}
	x.write(p.status, p.appendTo(x.buffer(), cause))
}
