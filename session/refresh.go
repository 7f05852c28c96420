package session

import "context"

// Refresh checks the secret, then the session type, then the refresh token, and
// does what [Policy.Refresh] says. It fails with InvalidClient or InvalidType;
// with Unknown or Expired if the token is not valid; with Unavailable if
// [Checker.Recheck] fails so; with TypeMismatch, and then revokes the
// session, if the token is the other type's; with UserInactive, or Revoked and
// CauseAccount, and then revokes the session, if the user was disabled or removed or
// has another credential; or as [Store.Refresh] does.
func (e *Engine) Refresh(ctx context.Context, req RefreshRequest) (Tokens, error) {
	ev := Event{Step: StepRefresh}
	tokens, err := e.refresh(ctx, req, &ev)
	revoked := revokedBy(err)
	err = asSessionError(err)
	e.observe(ctx, ev, err)
	if revoked {
		e.observeRevoked(ctx, ev, []Tombstone{{ID: ev.Session, Cause: CauseOf(err)}})
	}
	return tokens, err
}

// RefreshRequest holds the fields of a refresh as the client sent them.
type RefreshRequest struct {
	Secret, Type, Token string

	Network string // of the client; empty means that it is not known
}

func (e *Engine) refresh(ctx context.Context, req RefreshRequest, ev *Event) (Tokens, error) {
	app := e.AppBySecret(req.Secret)
	if app == nil {
		return Tokens{}, Fail(InvalidClient, nil)
	}
	ev.App = app.Name
	t, ok := ParseType(req.Type)
	if !ok {
		return Tokens{}, Fail(InvalidType, nil)
	}
	claims, expired := e.refreshClaims(app, req.Token)
	ev.setToken(claims)
	if expired != nil && CodeOf(expired) != Expired {
		return Tokens{}, expired
	}
	status, err := e.recheck(ctx, app, claims)
	if err != nil {
		return Tokens{}, orExpired(err, expired)
	}
	if claims.Type != t {
		return Tokens{}, orExpired(e.revokeByToken(ctx, app, claims, &Error{Code: TypeMismatch, Cause: CauseTypeMismatch}), expired)
	}
	result, err := e.refreshSession(ctx, app, claims, status, NewClientTag(claims.Secret, req.Network))
	if err != nil {
		return Tokens{}, orExpired(err, expired)
	}
	ev.Code, ev.Moved = result.Code, result.Moved
	tokens, err := app.issue(claims.User, result.Session, result.Now, result.Session.Generation != claims.Generation)
	tokens.Durability = result.Durability
	return tokens, err
}

// refreshSession takes the store's step. If the session was created with another
// credential than status says, it asks the user source again, because status may come
// from a cache, from before the password was changed. The session of a login with the new
// password must not end.
func (e *Engine) refreshSession(ctx context.Context, app *App, c Claims, status Status, client ClientTag) (RefreshResult, error) {
	step := refreshStep(app, c, status)
	step.Tentative, step.Client = true, client
	result, err := e.Store.Refresh(ctx, step)
	if CodeOf(err) == CredentialChanged && CauseOf(err) == "" {
		if status, err = app.Checker.Recheck(ctx, c.User, true); err != nil {
			return RefreshResult{}, e.endIfGone(ctx, app, c, err)
		}
		step.Credential, step.Tentative = status.Credential, false
		result, err = e.Store.Refresh(ctx, step)
	}
	if status.HasClaims {
		result.Session.Claims = status.Claims
	}
	return result, err
}

// refreshStep returns the step that refreshes the session of a refresh token.
func refreshStep(app *App, c Claims, status Status) RefreshStep {
	return RefreshStep{
		Owner:      Owner{app.Name, c.User.String()},
		ID:         c.Session,
		Type:       c.Type,
		Presented:  c.presented(),
		Policy:     app.Policies[c.Type],
		CheckUser:  app.UsersInStore,
		Credential: status.Credential,
	}
}

// recheck asks the user source about the user of a refresh token. If they were
// disabled or removed, it revokes the session: it must not be live again when the user
// is enabled again, or when another person gets the ID. Before that it asks for an
// answer that is not from a cache, unless the session has ended already.
func (e *Engine) recheck(ctx context.Context, app *App, c Claims) (Status, error) {
	status, err := app.Checker.Recheck(ctx, c.User, false)
	if !isGone(err) {
		return status, err
	}
	if err := e.Store.Live(ctx, LiveStep{Owner: Owner{app.Name, c.User.String()}, ID: c.Session}); err != nil {
		return Status{}, err
	}
	if status, err = app.Checker.Recheck(ctx, c.User, true); err != nil {
		return Status{}, e.endIfGone(ctx, app, c, err)
	}
	return status, nil
}

// isGone reports whether err means that a user has no right to sessions any more.
func isGone(err error) bool {
	return CodeOf(err) == UserUnknown || CodeOf(err) == UserInactive
}

// endIfGone revokes the session of a refresh token if err, the error of a recheck,
// means that the user is gone. It returns the error of the refresh.
func (e *Engine) endIfGone(ctx context.Context, app *App, c Claims, err error) error {
	if !isGone(err) {
		return err
	}
	return e.revokeByToken(ctx, app, c, &Error{Code: CodeOf(err), Cause: CauseAccount, Err: err})
}

// revokeByToken revokes the session of a refresh token that is the current one, or was
// spent last and is within the retry window, and returns reason. An older token is a
// replay, or is rejected, as at any refresh. Its error is never nil.
func (e *Engine) revokeByToken(ctx context.Context, app *App, c Claims, reason *Error) error {
	step := logoutStep(app, c)
	step.Cause = reason.Cause
	if _, err := e.Store.Logout(ctx, step); err != nil {
		return err
	}
	return reason
}

// revokedBy reports whether err, the error of a refresh, means that this refresh has
// revoked the session.
func revokedBy(err error) bool {
	switch CodeOf(err) {
	case Replayed, TypeMismatch:
		return true
	case UserUnknown, UserInactive, CredentialChanged:
		return CauseOf(err) == CauseAccount
	}
	return false
}

// refreshClaims verifies a refresh token of an app and returns its claims. It
// returns them also with the error Expired. Any other error is Unknown, or Unavailable or
// Internal if the time of the store is not known.
func (e *Engine) refreshClaims(app *App, token string) (Claims, error) {
	claims, err := app.Signer.Verify(token, KindRefresh, app.clock)
	switch CodeOf(err) {
	case OK, Expired, Unavailable, Internal:
		return claims, err
	}
	return claims, Fail(Unknown, err) // a client learns no details about an invalid refresh token
}

// orExpired returns the error of a refresh or a logout with a token whose own
// expiry has passed. The store is queried even then: the session may have been
// extended since, and the token is then a replay. If the store reports no more
// than Unknown, the token's expiry is the reason.
func orExpired(err, expired error) error {
	if expired != nil && CodeOf(err) == Unknown {
		return &Error{Code: Expired, Cause: CauseExpired, Err: expired}
	}
	return err
}

// asSessionError turns the codes about a user into those about a session. Where the
// credential is a refresh token, the Django app gives the same response to an unknown
// user as to an unknown session.
func asSessionError(err error) error {
	switch code := CodeOf(err); {
	case code != UserUnknown && code != CredentialChanged:
		return err
	case CauseOf(err) == CauseAccount:
		return &Error{Code: Revoked, Cause: CauseAccount, Err: err}
	}
	return Fail(Unknown, err)
}
