package session

import "errors"

// Code is a word that says how a step came out. The same word is the first
// element of a script's reply, the label of a metric, the field of a log line
// and, through one table in package api, the answer on the wire.
type Code string

// What a Store says. OK, Retried and Healed are successes.
const (
	OK           Code = "ok"
	Retried      Code = "retried"       // the token just spent came again within the retry window
	Healed       Code = "healed"        // the store had lost an acknowledged step; it caught up
	Unknown      Code = "unknown"       // no such session, and no trace of one
	Ended        Code = "ended"         // no such session; a trace says why (Error.Cause)
	Expired      Code = "expired"       // its time was over
	TypeMismatch Code = "type_mismatch" // asked for as another type; the session is ended now
	Replayed     Code = "replayed"      // a spent token came again; the session is ended now
	Spent        Code = "spent"         // a spent token came again; nothing changed
	LimitReached Code = "limit_reached" // as many sessions as the policy allows; nothing changed
	UserUnknown  Code = "user_not_found"
	UserInactive Code = "user_inactive"
)

// What the engine and its ports say beyond that.
const (
	InvalidCredentials Code = "invalid_credentials" // login: secret, user name or password; never which
	InvalidClient      Code = "invalid_client"      // refresh, logout: no app has this secret
	InvalidType        Code = "invalid_type"        // not a session type
	TokenInvalid       Code = "token_invalid"       // undecodable, forged, expired, not yet valid, other audience
	TokenWrongKind     Code = "token_wrong_kind"    // a refresh token as access token, or the other way round
	TokenNoExpiry      Code = "token_no_expiry"
	TokenNoID          Code = "token_no_id"
	TokenNoKind        Code = "token_no_kind"
	TokenNoUser        Code = "token_no_user"
	TokenRevoked       Code = "token_revoked" // good in itself; its session has ended
	Busy               Code = "busy"          // too many logins wait for their turn
	Unavailable        Code = "unavailable"   // cannot tell: never to be taken for "not there"
	Internal           Code = "internal"      // a defect of the gateway; details are in its log only
)

// Error is a step that did not come out. Err, for the log only, may be nil.
type Error struct {
	Code  Code
	Cause Cause // why the session ended, where it did
	Err   error
}

// Error gives the code, the cause and the reason; it holds no secret as long
// as the wrapped error holds none.
func (e *Error) Error() string {
	s := string(e.Code)
	if e.Cause != "" {
		s += " (" + string(e.Cause) + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the reason, nil where none was recorded.
func (e *Error) Unwrap() error { return e.Err }

// Fail is an Error with a code and, optionally, its reason.
func Fail(code Code, reason error) *Error { return &Error{Code: code, Err: reason} }

// CodeOf is the code of err: OK for nil, Internal for an error that carries none.
func CodeOf(err error) Code {
	if err == nil {
		return OK
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// CauseOf is the cause that err carries, or empty.
func CauseOf(err error) Cause {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Cause
	}
	return ""
}

// Cause is the one reason why a session ceased; the list is fixed.
type Cause string

// Endings that somebody caused. Each leaves a trace, an outbox entry and a
// publication in the step that acts.
const (
	CauseUser         Cause = "user"          // destroyed by its user, by id
	CauseOthers       Cause = "others"        // destroyed by its user from another session
	CauseLogout       Cause = "logout"        //
	CauseEvicted      Cause = "evicted"       // made room for a newer login
	CauseReplay       Cause = "replay"        // a spent refresh token came again
	CauseTypeMismatch Cause = "type_mismatch" // refreshed as another type, which the seed documents
	CauseOperator     Cause = "operator"      //
	CauseAccount      Cause = "account"       // user disabled, deleted, or password changed
	CauseApp          Cause = "app"           // everything of the app was ended
)

// Endings by time. Nobody acts, so they are answered, not published.
const (
	CauseExpired  Cause = "expired"
	CauseAbsolute Cause = "absolute"
)

// Causes lists every cause.
var Causes = []Cause{
	CauseUser, CauseOthers, CauseLogout, CauseEvicted, CauseReplay, CauseTypeMismatch,
	CauseOperator, CauseAccount, CauseApp, CauseExpired, CauseAbsolute,
}
