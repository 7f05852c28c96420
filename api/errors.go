package api

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"time"

	"tokengate/session"
)

// The codes of requests that are rejected without a step of the engine. The first
// six are codes of Django REST framework, which clients of the Django app may use.
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
	codeClientGone       session.Code = "client_gone" // in metrics and log only, because the client has disconnected
)

// answer is an error as the client sees it.
type answer struct {
	status   int
	text     string
	nonField bool   // text is the element of a list "non_field_errors" instead of the string "detail"
	wireCode string // the member "code"; empty means the code itself
	message  string // the text in "messages", about an access token; empty means no such member
}

// tableEntry is the answer to a code, and the answers of the endpoints where the
// Django app answers differently.
type tableEntry struct {
	answer
	byEndpoint byEndpoint
}

type byEndpoint map[string]answer // by name of the route

// Texts and a code of the Django app.
const (
	textBadCredentials  = "Invalid Credentials or not active account found!"
	textNoActiveAccount = "No active account found with the given credentials"
	textInvalidToken    = "Token is invalid or expired"
	tokenNotValid       = "token_not_valid"
)

// detail returns an answer with a text as "detail".
func detail(status int, text string) answer { return answer{status: status, text: text} }

func unauthorized(text string) answer { return detail(http.StatusUnauthorized, text) }

// nonFieldError returns a 400 with a text in the list "non_field_errors".
func nonFieldError(text string) answer {
	return answer{status: http.StatusBadRequest, text: text, nonField: true}
}

// invalidAccessToken returns the Django app's answer to an invalid access token.
func invalidAccessToken(message string) tableEntry {
	a := unauthorized("Given token not valid for any token type")
	a.wireCode, a.message = tokenNotValid, message
	return tableEntry{a, byEndpoint{"verify": invalidToken}}
}

// Answers that several codes share. badCredentials is the same for every failed
// login, so that it does not reveal which users exist.
var (
	badCredentials   = answer{status: http.StatusBadRequest, text: textBadCredentials, nonField: true, wireCode: string(session.InvalidCredentials)}
	invalidToken     = answer{status: http.StatusUnauthorized, text: textInvalidToken, wireCode: tokenNotValid}
	unrecognizedUser = answer{status: http.StatusUnauthorized, text: "Token contained no recognizable user identification", wireCode: tokenNotValid}
	noActiveAccount  = unauthorized(textNoActiveAccount)
	noSuchSession    = detail(http.StatusNotFound, "No such session.")
	tooManyLists     = detail(http.StatusServiceUnavailable, "Too many long lists are being read. Try again.")
	noSuchUser       = detail(http.StatusNotFound, "No such user.")
)

// answerTable maps the codes of errors to answers, except codes whose texts depend
// on the request: see wireError.
var answerTable = map[session.Code]tableEntry{
	// Login, and the parameters of other endpoints. A login of an unknown or
	// inactive user gets the answer for a wrong password.
	session.InvalidCredentials: {badCredentials, nil},
	session.InvalidClient:      {nonFieldError(textBadCredentials), nil},
	session.InvalidType: {nonFieldError("Invalid Session Type. Valid options: ['LONG', 'SHORT']"), byEndpoint{
		"list":           nonFieldError("Invalid Session Type. Valid options: ['LONG', 'SHORT', 'ALL']"),
		"destroy_others": nonFieldError("Invalid Session Type"),
	}},
	session.LimitReached: {detail(http.StatusBadRequest, "Reached max number of sessions."), nil},
	session.UserUnknown: {unauthorized("User not found"), byEndpoint{
		"login": badCredentials, "refresh": noActiveAccount,
		"admin_user": noSuchUser, "admin_change_user": noSuchUser, "admin_remove_user": noSuchUser,
	}},
	session.UserInactive: {unauthorized("User is inactive"), byEndpoint{"login": badCredentials, "refresh": noActiveAccount}},

	// The state of a session. The Django app gives every refresh token that is no
	// longer valid the answer noActiveAccount, so clients need no new case. The
	// code and the cause say why the user was logged out.
	session.Unknown:      {noActiveAccount, byEndpoint{"verify": invalidToken, "admin_end": noSuchSession}},
	session.Revoked:      {noActiveAccount, byEndpoint{"admin_end": noSuchSession}},
	session.Expired:      {invalidToken, byEndpoint{"destroy": noActiveAccount, "admin_end": noSuchSession}},
	session.TypeMismatch: {invalidToken, nil},
	session.Replayed:     {noActiveAccount, nil},

	session.CredentialChanged: {noActiveAccount, nil},
	session.Spent:             {noActiveAccount, nil},

	// Access tokens, with the texts of simplejwt. A token whose session was revoked
	// gets the same answer as an expired one, because a client must react in the
	// same way.
	session.TokenInvalid:   invalidAccessToken(textInvalidToken),
	session.TokenRevoked:   invalidAccessToken(textInvalidToken),
	session.TokenWrongKind: invalidAccessToken("Token has wrong type"),
	session.TokenNoExpiry:  invalidAccessToken("Token has no 'exp' claim"),
	session.TokenNoID:      invalidAccessToken("Token has no id"),
	session.TokenNoKind:    invalidAccessToken("Token has no type"),
	session.TokenNoUser:    {unrecognizedUser, byEndpoint{"verify": invalidToken}},

	// The gateway cannot answer. The status must not be 401, because clients then
	// discard their tokens.
	session.Throttled: {detail(http.StatusTooManyRequests, "Too many logins. Try again later."), byEndpoint{
		"refresh": detail(http.StatusTooManyRequests, "This refresh token was repeated too often. Use the newest one."),
	}},
	session.Busy: {detail(http.StatusServiceUnavailable, "Too many logins are waiting. Try again."), byEndpoint{
		"list": tooManyLists, "admin_sessions": tooManyLists,
	}},
	session.Unavailable: {detail(http.StatusServiceUnavailable, "The service is temporarily unavailable. Try again."), nil},
	session.Internal:    {detail(http.StatusInternalServerError, "Internal server error."), nil},

	// For operators.
	session.AppUnknown:     {detail(http.StatusNotFound, "No such app."), nil},
	session.UserExists:     {detail(http.StatusConflict, "Another user has this name or this id."), nil},
	session.UserChanged:    {detail(http.StatusConflict, "The user was changed by others at the same time. Try again."), nil},
	session.UsersElsewhere: {detail(http.StatusConflict, "USERS of this app is not redis: change its users where they are kept."), nil},

	// Rejected without a step of the engine.
	codeNotAuthenticated: {unauthorized("Authentication credentials were not provided."), nil},
	codeBadAuthorization: {unauthorized("Authorization header must contain two space-delimited values"), nil},
	codeNotFound:         {detail(http.StatusNotFound, "Not found."), nil},
	codeTooLarge:         {detail(http.StatusRequestEntityTooLarge, "The request's body is larger than 64 KiB."), nil},
	codeAdminOff:         {detail(http.StatusForbidden, "The admin API is off: no ADMIN_TOKEN is set."), nil},
	codeAdminToken:       {unauthorized("The admin token is missing or wrong."), nil},
}

// wireError is an error with its answer. Functions that return it as an error
// bypass answerTable, because its texts depend on the request.
type wireError struct {
	answer
	code   session.Code
	fields []fieldError // if not nil, they replace the answer's text
}

// fieldError lists what is wrong with one field.
type fieldError struct {
	field    string
	messages []string
}

// Error returns only the code, because the texts may quote the client's input,
// which must not be logged.
func (e *wireError) Error() string { return string(e.code) }

// malformed returns the error for a body that cannot be parsed.
func malformed(text string) *wireError {
	return &wireError{answer: detail(http.StatusBadRequest, text), code: codeParseError}
}

// notAnObject returns the error for a JSON body that is not an object.
func notAnObject(text string) *wireError {
	return &wireError{answer: nonFieldError(text), code: codeInvalid}
}

func invalidFields(fields []fieldError) *wireError {
	return &wireError{answer: answer{status: http.StatusBadRequest}, code: codeInvalid, fields: fields}
}

// unsupportedMediaType returns the error for a Content-Type. Its text quotes the
// header as sent, including parameters.
func unsupportedMediaType(sent string) *wireError {
	text := "Unsupported media type \"" + sent + "\" in request."
	return &wireError{answer: detail(http.StatusUnsupportedMediaType, text), code: codeUnsupportedMedia}
}

func methodNotAllowed(method string) *wireError {
	text := "Method \"" + method + "\" not allowed."
	return &wireError{answer: detail(http.StatusMethodNotAllowed, text), code: codeMethodNotAllowed}
}

// wireErrorFor returns the error that a client of the endpoint gets for err. A code
// that is not in answerTable is a defect and becomes session.Internal.
func wireErrorFor(err error, endpoint string) *wireError {
	if e, ok := errors.AsType[*wireError](err); ok {
		return e
	}
	code := session.CodeOf(err)
	entry, ok := answerTable[code]
	if !ok {
		code = session.Internal
		entry = answerTable[code]
	}
	if a, ok := entry.byEndpoint[endpoint]; ok {
		entry.answer = a
	}
	return &wireError{answer: entry.answer, code: code}
}

// appendTo appends the body: the members of the Django app first, then the
// gateway's own.
func (e *wireError) appendTo(b []byte, cause session.Cause) []byte {
	b = append(b, '{')
	for _, f := range e.fields {
		b = appendList(appendKey(b, f.field), f.messages)
	}
	switch {
	case e.nonField:
		b = appendList(appendKey(b, "non_field_errors"), []string{e.text})
	case e.fields == nil:
		b = appendMember(b, "detail", e.text)
	}
	b = appendMember(b, "code", cmp.Or(e.wireCode, string(e.code)))
	if e.message != "" {
		b = append(b, `,"messages":[{"token_class":"AccessToken","token_type":"access"`...)
		b = append(appendMember(b, "message", e.message), '}', ']')
	}
	if cause != "" {
		b = appendMember(b, "cause", string(cause))
	}
	return append(b, '}')
}

// retryAfter is the value of Retry-After, in seconds, where no other one is known.
const retryAfter = 1

// secondsOf returns d in seconds, rounded up.
func secondsOf(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// writeError answers with err.
func (x *exchange) writeError(err error) {
	e := wireErrorFor(err, x.endpoint)
	x.code, x.err = e.code, err
	if e.status >= http.StatusInternalServerError && x.ctx().Err() != nil {
		x.code = codeClientGone // the step failed because the client disconnected, not because of the gateway or its store
	}
	switch e.status {
	case http.StatusUnauthorized:
		x.Header().Set("WWW-Authenticate", x.challenge)
	case http.StatusServiceUnavailable:
		x.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	case http.StatusTooManyRequests:
		x.Header().Set("Retry-After", strconv.Itoa(max(retryAfter, secondsOf(session.RetryAfterOf(err)))))
	}
	cause := session.CauseOf(err)
	if cause == "" && e.code == session.Expired {
		cause = session.CauseExpired // the token itself has expired, so the store was not queried
	}
	x.write(e.status, e.appendTo(x.buffer(), cause))
}
