package session

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Login checks the secret, then that the limits of failed logins allow an attempt, then the
// credentials, then the session type, and creates a session. A password of more than
// MaxPassword bytes is wrong for every user, so it is neither counted nor compared. No
// password is compared while the store can't write: the error would distinguish a right
// password, with Unavailable, from a wrong one. A right password with an invalid type counts
// as a failed login, because the error shows that it is right.
//
// Login fails with InvalidCredentials if the secret or the credentials are wrong, with
// Throttled, with Busy, or with InvalidType; with Internal if the user's claims can't be
// signed, and then no session has changed; or as [Store.Create] does.
func (e *Engine) Login(ctx context.Context, req LoginRequest) (Tokens, error) {
	ev := Event{Step: StepLogin, Network: req.Network}
	tokens, created, err := e.login(ctx, req, &ev)
	e.observe(ctx, ev, err)
	e.observeRevoked(ctx, ev, created.Revoked)
	return tokens, err
}

// LoginRequest holds the fields of a login as the client sent them.
type LoginRequest struct {
	Secret, Username, Password, Type, Info string

	Network string // of the client; empty means that it is not known
	Device  string // token of a known device; empty or invalid means that the device is not known
}

func (e *Engine) login(ctx context.Context, req LoginRequest, ev *Event) (Tokens, CreateResult, error) {
	app := e.AppBySecret(req.Secret)
	if app == nil {
		return Tokens{}, CreateResult{}, Fail(InvalidCredentials, errors.New("no app has this secret"))
	}
	ev.App, ev.Account = app.Name, app.AccountKey(req.Username)
	if len(req.Password) > MaxPassword {
		return Tokens{}, CreateResult{}, Fail(InvalidCredentials, errors.New("the password is too long"))
	}
	start := e.Now()
	attempt := e.newReservation(app, req, ev.Account)
	defer attempt.leave()
	user, err := e.checkCredentials(ctx, app, req, attempt)
	if err != nil {
		return Tokens{}, CreateResult{}, err
	}
	ev.User = user.ID.String()
	t, ok := ParseType(req.Type)
	if !ok {
		return Tokens{}, CreateResult{}, Fail(InvalidType, nil)
	}
	ev.Type = t
	defer attempt.succeed(ctx)()
	device, err := attempt.deviceToken(app, user.Credential, e.Now())
	if err == nil {
		err = app.checkSignable(user, e.Now())
	}
	if err != nil {
		return Tokens{}, CreateResult{}, err
	}
	created, err := e.createSession(ctx, app, user, req.Info, t, start)
	if err != nil {
		return Tokens{}, CreateResult{}, err
	}
	ev.Session = created.Session.ID
	if user.Rehash != nil {
		go user.Rehash(context.Background()) // not the request's context, which ends with the response
	}
	tokens, err := app.issue(user.ID, created.Session, created.Now, true)
	tokens.Durability, tokens.Device = created.Durability, device
	return tokens, created, err
}

// checkCredentials returns the user of a login. Its attempt is then still counted.
func (e *Engine) checkCredentials(ctx context.Context, app *App, req LoginRequest, attempt *reservation) (User, error) {
	if err := attempt.reserve(ctx); err != nil {
		return User{}, err
	}
	presented := Credentials{Username: req.Username, Password: req.Password, Network: req.Network}
	user, err := app.Checker.Check(ctx, presented, func(f Found) error {
		if err := attempt.confirmDevice(ctx, f.Credential); err != nil {
			return err
		}
		return e.Store.Ready(ctx, attemptOwner(app, f.ID, req.Username))
	})
	attempt.settle(ctx, err)
	return user, err
}

// createSession takes the store's step of a login that began at start.
func (e *Engine) createSession(ctx context.Context, app *App, user User, info string, t Type, start time.Time) (CreateResult, error) {
	owner := Owner{app.Name, user.ID.String()}
	older, err := e.olderThan(ctx, owner, user, start)
	if err != nil {
		return CreateResult{}, err
	}
	return e.Store.Create(ctx, CreateStep{
		Owner: owner,
		Session: Session{
			ID: NewID().WithType(t), Type: t, Info: info, Claims: user.Claims, Secret: NewSecret(), Credential: user.Credential,
		},
		Policy:        app.Policies[t],
		RevokeChanged: older,
		CheckUser:     user.InStore,
	})
}

// attemptOwner returns the owner that stands for a user whose password is about to be
// compared: that of a username if it has no user, or if the ID is not known yet.
func attemptOwner(app *App, id UserID, username string) Owner {
	if id.IsZero() {
		return Owner{app.Name, username}
	}
	return Owner{app.Name, id.String()}
}

// olderThan returns the time before which a session must have been created for a login
// with another credential to revoke it: when the login began, by the store's clock. A slow
// login with the former password must not end the session of the new one. It returns the
// zero time if the user source can be asked at refreshes, which then compare credentials.
func (e *Engine) olderThan(ctx context.Context, owner Owner, user User, start time.Time) (time.Time, error) {
	if !user.LoginOnly {
		return time.Time{}, nil
	}
	offset, err := e.Store.ClockOffset(ctx, owner)
	return start.Add(offset), err
}

// checkSignable checks that tokens with a user's claims can be signed, by signing
// one. It runs before a session is created and another perhaps evicted for it.
// User sources check claims too, but a store may hold claims that an earlier
// version accepted, and the length of a token also depends on the app's settings.
// The price is a second signature at the login of a user with claims. The first
// can't be issued, because the store's times are not known yet.
func (a *App) checkSignable(user User, now time.Time) error {
	switch {
	case len(user.Claims) == 0:
		return nil
	case len(user.Claims) > MaxClaims:
		return Fail(Internal, fmt.Errorf("the user's claims have %d bytes, and at most %d are allowed", len(user.Claims), MaxClaims))
	}
	_, err := a.issue(user.ID, Session{ID: NewID(), Claims: user.Claims, Created: now}, now, false)
	return err
}
