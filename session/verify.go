package session

import (
	"context"
	"strings"
	"time"
)

// Verify verifies a token, checks its user with the user source, and checks that
// its session was not revoked. If app is not empty, only access tokens of that
// app are valid; otherwise access and refresh tokens of any app are. While the
// revocation list is fresh, an access token needs no step of the store. Verify
// fails with the codes of [Signer.Verify], or with UserUnknown, UserInactive,
// TokenRevoked or Unavailable.
func (e *Engine) Verify(ctx context.Context, app, token string) (Caller, error) {
	apps := e.possibleIssuers(token)
	if app != "" {
		apps = []*App{e.byName[app]}
		if apps[0] == nil {
			return Caller{}, Fail(TokenInvalid, nil)
		}
	}
	caller, err := e.verifyToken(apps, token, KindAccess)
	if app == "" && CodeOf(err) == TokenWrongKind {
		caller, err = e.verifyToken(apps, token, KindRefresh)
	}
	if err != nil {
		return Caller{}, err
	}
	if err := caller.recheck(ctx); err != nil {
		return Caller{}, err
	}
	return caller, e.checkNotRevoked(ctx, caller)
}

// recheckTimeout is how long Verify waits for a user source. It does so in every
// request to an app: a source that works well answers within a few milliseconds,
// and a longer wait would slow down the app.
const recheckTimeout = 200 * time.Millisecond

// recheck checks the user with the user source, within recheckTimeout. It returns
// nil if the source does not answer: that must not stop the app, and the token's
// expiry bounds how long a change of the user can go unnoticed.
func (c Caller) recheck(ctx context.Context) error {
	timeout := newLazyTimeout(ctx, recheckTimeout)
	defer timeout.stop()
	_, err := c.App.Checker.Recheck(timeout, c.Claims.User, false)
	if CodeOf(err) == Unavailable {
		return nil
	}
	return err
}

// checkNotRevoked fails with TokenRevoked if the caller's session was revoked or
// has expired. For a refresh token it always queries the store.
func (e *Engine) checkNotRevoked(ctx context.Context, c Caller) error {
	id := c.session()
	if id == "" {
		return nil
	}
	cause, revoked, fresh := e.Revocations.Check(AccessToken{c.App.Name, id, c.Claims.Issued, c.Claims.Expires}, e.Now())
	if revoked {
		return &Error{Code: TokenRevoked, Cause: cause}
	}
	if fresh && c.Claims.Kind == KindAccess {
		return nil
	}
	err := e.Store.Live(ctx, c.owner(), id)
	switch CodeOf(err) {
	case Unknown, Revoked, Expired:
		return &Error{Code: TokenRevoked, Cause: CauseOf(err)}
	}
	return err
}

// Authenticate verifies an access token of any app, and checks its user with the
// app's user source. It does not query the store: List, Destroy and DestroyOthers
// check in their own step that the caller's session is live. It fails with the
// codes of [Signer.Verify] and [Checker.Recheck].
func (e *Engine) Authenticate(ctx context.Context, token string) (Caller, error) {
	caller, err := e.verifyToken(e.possibleIssuers(token), token, KindAccess)
	if err != nil {
		return Caller{}, err
	}
	_, err = caller.App.Checker.Recheck(ctx, caller.Claims.User, false)
	return caller, err
}

// possibleIssuers returns the apps that may have issued a token: those whose own
// tokens have its header, or else every app, because other programs may hold the
// same keys.
func (e *Engine) possibleIssuers(token string) []*App {
	header, _, _ := strings.Cut(token, ".")
	if apps := e.byHeader[header]; apps != nil {
		return apps
	}
	return e.apps
}

// verifyToken verifies a token with the keys of each app until one accepts it. If
// none does, it returns an error other than TokenInvalid where there is one,
// because that app's keys have signed the token.
func (e *Engine) verifyToken(apps []*App, token string, kind Kind) (Caller, error) {
	refusal := error(Fail(TokenInvalid, nil))
	now := e.Now()
	for _, app := range apps {
		claims, err := app.Signer.Verify(token, kind, now)
		if err == nil {
			return Caller{app, claims}, nil
		}
		if CodeOf(err) != TokenInvalid {
			refusal = err
		}
	}
	return Caller{}, refusal
}
