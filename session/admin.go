package session

import "context"

// UserSessions holds the sessions of one user as an operator sees them.
type UserSessions struct {
	Live       []Session   // the oldest first
	Tombstones []Tombstone // the latest first; see Store.Tombstones
}

// UserSessions returns a user's live sessions and tombstones. They are read one
// after the other, so a session that is revoked in between may be in both. A user
// without any is not an error. It fails with AppUnknown or Unavailable.
func (e *Engine) UserSessions(ctx context.Context, owner Owner) (UserSessions, error) {
	var result UserSessions
	ev := Event{Step: StepAdmin, App: owner.App, User: owner.User}
	_, err := e.runAdmin(ctx, ev, func() (_ RevokeResult, err error) {
		result, err = e.userSessions(ctx, owner)
		return RevokeResult{}, err
	})
	return result, err
}

func (e *Engine) userSessions(ctx context.Context, owner Owner) (UserSessions, error) {
	listed, err := e.Store.List(ctx, ListStep{Owner: owner, Types: Types, Policies: e.App(owner.App).Policies})
	if err != nil {
		return UserSessions{}, err
	}
	revoked, err := e.Store.Tombstones(ctx, owner)
	return UserSessions{Live: listed.Sessions, Tombstones: revoked}, err
}

// RevokeSession revokes one session of a user with CauseOperator; by is the
// operator's name. It fails with AppUnknown, with Unknown if id is not a session's
// ID, or as [Store.Revoke] does.
func (e *Engine) RevokeSession(ctx context.Context, owner Owner, id ID, by string) (RevokeResult, error) {
	ev := Event{Step: StepAdmin, App: owner.App, User: owner.User, Session: id}
	return e.runAdmin(ctx, ev, func() (RevokeResult, error) {
		if !id.Valid() {
			return RevokeResult{}, Fail(Unknown, nil)
		}
		return e.Store.Revoke(ctx, RevokeStep{Owner: owner, ID: id, Cause: CauseOperator, By: by})
	})
}

// RevokeUser revokes every session of a user. The cause is CauseOperator, or
// CauseAccount if the account was disabled or its password changed; by is the
// operator's name. If there are no sessions, it succeeds. It fails with AppUnknown
// or Unavailable.
func (e *Engine) RevokeUser(ctx context.Context, owner Owner, cause Cause, by string) (RevokeResult, error) {
	ev := Event{Step: StepAdmin, App: owner.App, User: owner.User}
	return e.runAdmin(ctx, ev, func() (RevokeResult, error) {
		return e.Store.RevokeOthers(ctx, RevokeOthersStep{Owner: owner, Types: Types, Cause: cause, By: by})
	})
}

// RevokeApp revokes every session of an app that was created before now; by is the
// operator's name. It fails with AppUnknown, or with Unavailable: then some
// sessions may be revoked, and a retry revokes the others.
func (e *Engine) RevokeApp(ctx context.Context, app, by string) (RevokeResult, error) {
	ev := Event{Step: StepAdmin, App: app, By: by}
	result, err := e.runAdmin(ctx, ev, func() (RevokeResult, error) { return e.Store.RevokeApp(ctx, app) })
	if err == nil { // it is not known which sessions there were, so it is observed as one revocation
		e.observeRevoked(ctx, ev, []Tombstone{{Cause: CauseApp, By: by}})
	}
	return result, err
}

// runAdmin runs an operator's step if ev.App is an app of the engine, and observes
// it. An unknown app's name is left out of the event: apps are labels of metrics,
// and an operator could otherwise add any number of them.
func (e *Engine) runAdmin(ctx context.Context, ev Event, step func() (RevokeResult, error)) (RevokeResult, error) {
	var result RevokeResult
	err := error(Fail(AppUnknown, nil))
	if e.App(ev.App) != nil {
		result, err = step()
	} else {
		ev.App = ""
	}
	e.observe(ctx, ev, err)
	e.observeResult(ctx, ev, result)
	return result, err
}

// Refusals returns what the limits of failed logins have refused of an app in about the last
// hour; see [Limiter].Refusals. It fails with AppUnknown or Unavailable.
func (e *Engine) Refusals(ctx context.Context, app string) ([]Refusals, error) {
	var list []Refusals
	_, err := e.runAdmin(ctx, Event{Step: StepAdmin, App: app}, func() (_ RevokeResult, err error) {
		list, err = e.Limiter.Refusals(ctx, app)
		return RevokeResult{}, err
	})
	return list, err
}

// ForgetFailures ends the row of failed logins with a username from unknown devices. The
// limits of networks and of known devices stay. It returns what stands for the username in
// logs, and fails with AppUnknown or Unavailable.
func (e *Engine) ForgetFailures(ctx context.Context, app, username string) (account string, err error) {
	if a := e.App(app); a != nil {
		account = a.AccountKey(username)
	}
	_, err = e.runAdmin(ctx, Event{Step: StepAdmin, App: app, Account: account}, func() (RevokeResult, error) {
		return RevokeResult{}, e.Limiter.Forget(ctx, app, account)
	})
	return account, err
}
