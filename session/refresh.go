package session

import "context"

// Refresh checks the secret, then the session type, then the refresh token, and
// does what [Policy.Refresh] says. It fails with InvalidClient or InvalidType;
// with Unknown or Expired if the token is not valid; with Unknown, UserInactive or
// Unavailable if [Checker.Recheck] fails; with TypeMismatch, and then revokes the
// session, if the token is the other type's; or as [Store.Refresh] does.
func (e *Engine) Refresh(ctx context.Context, req RefreshRequest) (Tokens, error) {
	ev := Event{Step: StepRefresh}
	tokens, err := e.refresh(ctx, req, &ev)
	e.observe(ctx, ev, err)
	if code := CodeOf(err); code == Replayed || code == TypeMismatch {
		e.observeRevoked(ctx, ev, []Tombstone{{ID: ev.Session, Cause: CauseOf(err)}})
	}
	return tokens, err
}

// RefreshRequest holds the fields of a refresh as the client sent them.
type RefreshRequest struct {
	Secret, Type, Token string
}

func (e *Engine) refresh(ctx context.Context, req RefreshRequest, ev *Event) (Tokens, error) {
	app := e.bySecret[e.digest(req.Secret)]
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
	if _, err := app.Checker.Recheck(ctx, claims.User, false); err != nil {
		return Tokens{}, asSessionError(err)
	}
	if claims.Type != t {
		return Tokens{}, orExpired(e.revokeMismatched(ctx, app, claims), expired)
	}
	result, err := e.Store.Refresh(ctx, RefreshStep{
		Owner:     Owner{app.Name, claims.User.String()},
		ID:        claims.Session,
		Type:      t,
		Presented: Presented{claims.Generation, claims.Expires},
		Policy:    app.Policies[t],
		CheckUser: app.UsersInStore,
	})
	if err != nil {
		return Tokens{}, orExpired(asSessionError(err), expired)
	}
	ev.Code = result.Code
	tokens, err := app.issue(claims.User, result.Session, result.Now, result.Session.Generation != claims.Generation)
	tokens.Durability = result.Durability
	return tokens, err
}

// refreshClaims verifies a refresh token of an app and returns its claims. It
// returns them also with the error Expired. Any other error is Unknown.
func (e *Engine) refreshClaims(app *App, token string) (Claims, error) {
	claims, err := app.Signer.Verify(token, KindRefresh, e.Now())
	if err != nil && CodeOf(err) != Expired {
		err = Fail(Unknown, err) // a client learns no details about an invalid refresh token
	}
	return claims, err
}

// revokeMismatched revokes a session whose token was sent as another type's, if
// the token is the current one, or was spent last and is within the retry window.
// An older token is a replay, or is rejected, as at any refresh. Its error is
// never nil.
func (e *Engine) revokeMismatched(ctx context.Context, app *App, c Claims) error {
	step := logoutStep(app, c)
	step.Cause = CauseTypeMismatch
	if _, err := e.Store.Logout(ctx, step); err != nil {
		return err
	}
	return &Error{Code: TypeMismatch, Cause: CauseTypeMismatch}
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

// asSessionError turns UserUnknown into Unknown. Where the credential is a refresh
// token, the Django app gives the same response to an unknown user as to an unknown
// session.
func asSessionError(err error) error {
	if CodeOf(err) == UserUnknown {
		return Fail(Unknown, err)
	}
	return err
}
