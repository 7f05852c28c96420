package session

import (
	"context"
	"errors"
)

// Logout checks the secret, then the refresh token, and revokes the token's
// session. It fails with InvalidClient; with Unknown or Expired if the token is not
// valid; as [Store.Logout] does; or with Unknown, although it has revoked the session, if
// the user does not exist.
func (e *Engine) Logout(ctx context.Context, secret, token string) (RevokeResult, error) {
	ev := Event{Step: StepLogout}
	result, err := e.logout(ctx, secret, token, &ev)
	e.observe(ctx, ev, err)
	if CodeOf(err) == Replayed {
		result.Revoked = []Tombstone{{ID: ev.Session, Cause: CauseReplay}}
	}
	e.observeRevoked(ctx, ev, result.Revoked)
	return result, err
}

func (e *Engine) logout(ctx context.Context, secret, token string, ev *Event) (RevokeResult, error) {
	app := e.AppBySecret(secret)
	if app == nil {
		return RevokeResult{}, Fail(InvalidClient, nil)
	}
	ev.App = app.Name
	claims, expired := e.refreshClaims(app, token)
	ev.setToken(claims)
	if expired != nil && CodeOf(expired) != Expired {
		return RevokeResult{}, expired
	}
	// Other errors do not matter: an inactive user may log out too, and so may a
	// user whose source does not answer. The session of a removed user is revoked as well:
	// it must not be live when they are put back.
	_, unknown := app.Checker.Recheck(ctx, claims.User, false)
	result, err := e.Store.Logout(ctx, logoutStep(app, claims))
	if err == nil && CodeOf(unknown) == UserUnknown {
		err = asSessionError(unknown)
	}
	return result, orExpired(err, expired)
}

// logoutStep returns the step that revokes the session of a refresh token.
func logoutStep(app *App, c Claims) LogoutStep {
	return LogoutStep{
		Owner:     Owner{app.Name, c.User.String()},
		ID:        c.Session,
		Type:      c.Type,
		Presented: c.presented(),
		Policy:    app.Policies[c.Type],
	}
}

// Destroy revokes one of the caller's sessions, which may be the caller's own. It
// fails with Unknown if id is not a session's ID, or as [Store.Revoke] does.
func (e *Engine) Destroy(ctx context.Context, c Caller, id string) (RevokeResult, error) {
	ev := c.event(StepDestroy)
	if !ID(id).Valid() {
		err := Fail(Unknown, nil)
		e.observe(ctx, ev, err)
		return RevokeResult{}, err
	}
	result, err := e.Store.Revoke(ctx, RevokeStep{
		Owner: c.owner(), Caller: c.session(), ID: ID(id), Cause: CauseUser, CheckUser: c.App.UsersInStore,
	})
	e.observe(ctx, ev, err)
	e.observeRevoked(ctx, ev, result.Revoked)
	return result, err
}

// DestroyOthers revokes the caller's sessions of one type, or of "ALL" types,
// except the session of refresh, which must be a refresh token of the same user.
// It fails with InvalidType; with Unknown or Expired, and then revokes nothing, if
// the token is not valid; or as [Store.RevokeOthers] does.
func (e *Engine) DestroyOthers(ctx context.Context, c Caller, refresh, types string) (RevokeResult, error) {
	ev := c.event(StepDestroyOthers)
	result, err := e.destroyOthers(ctx, c, refresh, types)
	e.observe(ctx, ev, err)
	e.observeResult(ctx, ev, result)
	return result, err
}

func (e *Engine) destroyOthers(ctx context.Context, c Caller, refresh, types string) (RevokeResult, error) {
	requested, err := parseTypes(types)
	if err != nil {
		return RevokeResult{}, err
	}
	keep, err := e.refreshClaims(c.App, refresh)
	if err != nil {
		return RevokeResult{}, err
	}
	if keep.User.String() != c.Claims.User.String() {
		return RevokeResult{}, Fail(Unknown, errors.New("the refresh token belongs to another user"))
	}
	return e.Store.RevokeOthers(ctx, RevokeOthersStep{
		Owner:      c.owner(),
		Caller:     c.session(),
		Keep:       keep.Session,
		KeepToken:  keep.presented(),
		KeepPolicy: c.App.Policies[keep.Type],
		Types:      requested,
		Cause:      CauseOthers,
		CheckUser:  c.App.UsersInStore,
	})
}
