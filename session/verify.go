package session

import (
	"context"
	"strings"
	"time"
)

// Verify verifies an access token, checks its user with the user source, and checks
// that its session was not revoked. If app is not empty, only tokens of that app are
// valid. While the revocation list is fresh, it needs no step of the store. It fails
// with the codes of [Signer.Verify], or with UserUnknown, UserInactive, TokenRevoked or
// Unavailable.
func (e *Engine) Verify(ctx context.Context, app, token string) (Caller, error) {
	caller, status, err := e.verifyAndRecheck(ctx, app, token, KindAccess)
	if err != nil {
		return Caller{}, err
	}
	return caller, e.checkNotRevoked(ctx, caller, status)
}

// VerifyRefresh verifies a refresh token like Verify. The token must be the current
// one of its session. It always takes a step of the store, which changes nothing.
func (e *Engine) VerifyRefresh(ctx context.Context, app, token string) (Caller, error) {
	caller, status, err := e.verifyAndRecheck(ctx, app, token, KindRefresh)
	if err != nil {
		return Caller{}, err
	}
	err = e.withPresentCredential(ctx, caller, status, func(f Fingerprint) error {
		return e.Store.CheckToken(ctx, refreshStep(caller.App, caller.Claims, Status{Credential: f}))
	})
	return caller, asTokenRevoked(err)
}

// verifyAndRecheck verifies a token and checks its user with the user source.
func (e *Engine) verifyAndRecheck(ctx context.Context, app, token string, kind Kind) (Caller, Status, error) {
	caller, err := e.verifyToken(e.accepting(app, token), token, kind)
	if err != nil {
		return Caller{}, Status{}, err
	}
	status, err := caller.recheck(ctx)
	return caller, status, err
}

// accepting returns the apps whose tokens are valid where app is the name of the only
// one, or empty for any.
func (e *Engine) accepting(app, token string) []*App {
	switch {
	case app == "":
		return e.possibleIssuers(token)
	case e.byName[app] == nil:
		return nil
	}
	return []*App{e.byName[app]}
}

// recheckTimeout is how long Verify waits for a user source. It does so in every
// request to an app: a source that works well answers within a few milliseconds,
// and a longer wait would slow down the app.
const recheckTimeout = 200 * time.Millisecond

// recheck checks the user with the user source, within recheckTimeout. It returns
// no error if the source does not answer: that must not stop the app, and the token's
// expiry bounds how long a change of the user can go unnoticed.
func (c Caller) recheck(ctx context.Context) (Status, error) {
	timeout := newLazyTimeout(ctx, recheckTimeout)
	defer timeout.stop()
	status, err := c.App.Checker.Recheck(timeout, c.Claims.User, false)
	if CodeOf(err) == Unavailable {
		return Status{}, nil
	}
	return status, err
}

// checkNotRevoked fails with TokenRevoked if the session of an access token was
// revoked or has expired, or was created with another credential than the user has
// now. The revocation list decides, unless it is not fresh or only the store knows.
func (e *Engine) checkNotRevoked(ctx context.Context, c Caller, status Status) error {
	id := c.session()
	if id == "" {
		return nil
	}
	cause, revoked, fresh := e.Revocations.Check(AccessToken{c.App.Name, c.Claims.User.String(), id, c.Claims.Issued, c.Claims.Expires}, e.Now())
	if revoked {
		return &Error{Code: TokenRevoked, Cause: cause}
	}
	doubt, err := e.onlyStoreKnows(ctx, c, status)
	if err != nil || fresh && !doubt {
		return err
	}
	return e.checkLive(ctx, c, status)
}

// onlyStoreKnows reports whether an access token's time can't be compared with that of a
// revocation: the user's credential may have changed since the token was issued, or the
// store's clock was set back since, so that the token seems to be from the future. The
// token's time is a whole second of the store's clock, or earlier.
func (e *Engine) onlyStoreKnows(ctx context.Context, c Caller, status Status) (bool, error) {
	if c.session() == "" {
		return false, nil
	}
	offset, err := e.Store.ClockOffset(ctx, c.owner())
	changed := !status.Changed.IsZero() && !c.Claims.Issued.After(status.Changed.Add(offset+clockSkew))
	return changed || c.Claims.Issued.After(e.Now().Add(offset+clockSkew)), err
}

// clockSkew is the error that is allowed for in an estimate of the store's time.
const clockSkew = time.Second

// checkLive queries the store about the session of an access token. A session that was
// created with another credential is revoked, so that all instances refuse it.
func (e *Engine) checkLive(ctx context.Context, c Caller, status Status) error {
	err := e.withPresentCredential(ctx, c, status, func(f Fingerprint) error {
		return e.Store.Live(ctx, LiveStep{Owner: c.owner(), ID: c.session(), Credential: f})
	})
	if CodeOf(err) == CredentialChanged {
		result, _ := e.Store.Revoke(ctx, RevokeStep{Owner: c.owner(), ID: c.session(), Cause: CauseAccount}) // if it fails, the next refresh revokes it
		e.observeRevoked(ctx, c.event(StepVerify), result.Revoked)
	}
	return asTokenRevoked(err)
}

// withPresentCredential runs a step that compares the credential of the caller's
// session with status. If they differ, it asks the user source again, because status
// may come from a cache, and repeats the step with the answer. If the source does not
// answer, the credential is not compared.
func (e *Engine) withPresentCredential(ctx context.Context, c Caller, status Status, step func(Fingerprint) error) error {
	err := step(status.Credential)
	if CodeOf(err) != CredentialChanged {
		return err
	}
	timeout := newLazyTimeout(ctx, recheckTimeout)
	defer timeout.stop()
	present, sourceErr := c.App.Checker.Recheck(timeout, c.Claims.User, true)
	switch {
	case CodeOf(sourceErr) == Unavailable:
		return step(Fingerprint{})
	case sourceErr != nil:
		return sourceErr
	case present.Credential == status.Credential:
		return err
	}
	return step(present.Credential)
}

// asTokenRevoked turns an error about a session into one about its token.
func asTokenRevoked(err error) error {
	switch CodeOf(err) {
	case Unknown, Revoked, Expired, Spent:
		return &Error{Code: TokenRevoked, Cause: CauseOf(err), Err: err}
	case CredentialChanged:
		return &Error{Code: TokenRevoked, Cause: CauseAccount, Err: err}
	}
	return err
}

// Authenticate verifies an access token of any app, and checks its user with the
// app's user source. It does not query the store, unless the user's credential has
// changed since the token was issued, or the store's clock was set back: List, Destroy
// and DestroyOthers check in their own step that the caller's session is live. It fails with the
// codes of [Signer.Verify] and [Checker.Recheck], or with TokenRevoked.
func (e *Engine) Authenticate(ctx context.Context, token string) (Caller, error) {
	caller, err := e.verifyToken(e.possibleIssuers(token), token, KindAccess)
	if err != nil {
		return Caller{}, err
	}
	status, err := caller.App.Checker.Recheck(ctx, caller.Claims.User, false)
	if err != nil {
		return caller, err
	}
	doubt, err := e.onlyStoreKnows(ctx, caller, status)
	if doubt && err == nil {
		err = e.checkLive(ctx, caller, status)
	}
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
	for _, app := range apps {
		claims, err := app.Signer.Verify(token, kind, app.clock)
		if err == nil {
			return Caller{app, claims}, nil
		}
		if CodeOf(err) != TokenInvalid {
			refusal = err
		}
	}
	return Caller{}, refusal
}
