package session

import (
	"errors"
	"time"
)

// Error is the error of a step that failed.
type Error struct {
	Code  Code
	Cause Cause // why the session was revoked or has expired, if it has; else empty
	Err   error // the reason, for the log only; may be nil

	Compared   bool          // of the error of [Checker].Check that can't tell: a password was compared, so the login counts as failed
	RetryAfter time.Duration // of Throttled: when to try again; zero means not known
	Limit      Limit         // of Throttled: which limit refused; empty means one of the user source, or that of repeats
}

// Error returns the code, the cause and the reason. It holds no secret as long as
// the wrapped error holds none.
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

// Unwrap returns the reason, or nil if there is none.
func (e *Error) Unwrap() error { return e.Err }

// Fail returns an Error with a code and a reason, which may be nil.
func Fail(code Code, reason error) *Error { return &Error{Code: code, Err: reason} }

// CodeOf returns the code of err: OK for nil, and Internal for an error without a
// code.
func CodeOf(err error) Code {
	if err == nil {
		return OK
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// CauseOf returns the cause in err, or empty if there is none.
func CauseOf(err error) Cause {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Cause
	}
	return ""
}

// RetryAfterOf returns the RetryAfter in err, or 0 if there is none.
func RetryAfterOf(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// LimitOf returns the Limit in err, or empty if there is none.
func LimitOf(err error) Limit {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Limit
	}
	return ""
}

// Code is a word for the outcome of a step. The same word is the first element of
// a script's reply, a label of a metric and a field of a log line, and a table in
// package api maps it to a response.
type Code string

// Codes of a [Store] and a [Directory]. OK, Retried and Healed are successes.
const (
	OK           Code = "ok"
	Retried      Code = "retried"        // the token that was spent last came again within the retry window
	Healed       Code = "healed"         // the store had lost an acknowledged step, and the record has caught up
	Unknown      Code = "unknown"        // there is no such session, and no tombstone of it
	Revoked      Code = "ended"          // the session was revoked; Error.Cause says why
	Expired      Code = "expired"        // the session has expired, or the token; Error.Cause says at which limit
	TypeMismatch Code = "type_mismatch"  // the token was sent as another type's; its session is now revoked
	Replayed     Code = "replayed"       // a spent token was presented; its session is now revoked
	Spent        Code = "spent"          // a spent token was presented; nothing changed
	LimitReached Code = "limit_reached"  // the user has as many sessions as the policy allows; nothing changed
	UserUnknown  Code = "user_not_found" // no such user; from PutAccount also: the account has changed
	UserInactive Code = "user_inactive"  // the user is disabled

	CredentialChanged Code = "credential_changed" // the session was created with another credential than the user's; nothing changed
)

// Further codes of the engine and its other interfaces.
const (
	InvalidCredentials Code = "invalid_credentials" // login: the secret, the username or the password; never which of them
	InvalidClient      Code = "invalid_client"      // refresh and logout: no app has this secret
	InvalidType        Code = "invalid_type"        // not a session type
	TokenInvalid       Code = "token_invalid"       // malformed, forged, expired, not valid yet, or for another audience
	TokenWrongKind     Code = "token_wrong_kind"    // a refresh token in place of an access token, or the other way round
	TokenNoExpiry      Code = "token_no_expiry"     // the claim exp is missing
	TokenNoID          Code = "token_no_id"         // the claim jti is missing
	TokenNoKind        Code = "token_no_kind"       // the claim token_type is missing
	TokenNoUser        Code = "token_no_user"       // the claim with the user's ID is missing
	TokenRevoked       Code = "token_revoked"       // a valid token whose session was revoked or has expired
	Throttled          Code = "throttled"           // too many logins, where Error.RetryAfter says when to try again; or too many repeats of a refresh token
	Busy               Code = "busy"                // too many logins are waiting, or too many long lists
	Unavailable        Code = "unavailable"         // the answer is not known; it never means "there is none"
	Internal           Code = "internal"            // a defect of the gateway; only its log has the details
)

// Further codes of operators' steps.
const (
	AppUnknown     Code = "app_not_found"   // no app has this name
	UserExists     Code = "user_exists"     // another user has the username, or the ID
	UserChanged    Code = "user_changed"    // other operators kept changing the user; nothing changed
	UsersElsewhere Code = "users_elsewhere" // the app's users are not in the Directory
)

// Cause is the reason why a session has ended. The list is fixed.
type Cause string

// Causes of revocations. The step that revokes a session writes its tombstone and
// its entry in the outbox, and publishes the entry. The revocation of an app writes
// one entry to each of the app's outboxes, and no tombstones.
const (
	CauseUser         Cause = "user"          // destroyed by its user, by ID
	CauseOthers       Cause = "others"        // destroyed by its user, who kept another session
	CauseLogout       Cause = "logout"        // logged out with its refresh token
	CauseEvicted      Cause = "evicted"       // evicted by a newer login
	CauseReplay       Cause = "replay"        // a spent refresh token was presented
	CauseTypeMismatch Cause = "type_mismatch" // refreshed as another type, which the Django app documents
	CauseOperator     Cause = "operator"      // revoked by an operator
	CauseAccount      Cause = "account"       // the user was disabled or removed, or the password changed
	CauseApp          Cause = "app"           // all sessions of the app were revoked
)

// Causes of expiry. No step acts then, so they are returned but not published.
const (
	CauseExpired  Cause = "expired"  // at Session.Expires
	CauseAbsolute Cause = "absolute" // at Session.Absolute
)

// Causes lists every cause.
var Causes = []Cause{
	CauseUser, CauseOthers, CauseLogout, CauseEvicted, CauseReplay, CauseTypeMismatch,
	CauseOperator, CauseAccount, CauseApp, CauseExpired, CauseAbsolute,
}
