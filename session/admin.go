package session

import "context"

// AppUnknown says that there is no app of the name that an operator gave.
const AppUnknown Code = "app_not_found"

// Holdings is what an operator sees of one user.
type Holdings struct {
	Sessions []Session // live, the oldest first
	Ended    []Trace   // lately ended, the latest first
}

// UserSessions gives a user's live sessions and the traces of those that
// ended. The two are read one after the other: a session that ends in between
// may stand in both. A user without either is no error. Fails with AppUnknown,
// Unavailable.
func (e *Engine) UserSessions(ctx context.Context, owner Owner) (Holdings, error) {
	var held Holdings
	ev := Event{Step: StepAdmin, App: owner.App, User: owner.User}
	_, err := e.operate(ctx, ev, func() (_ Receipt, err error) {
		held, err = e.userSessions(ctx, owner)
		return Receipt{}, err
	})
	return held, err
}

func (e *Engine) userSessions(ctx context.Context, owner Owner) (Holdings, error) {
	listed, err := e.Store.List(ctx, ListStep{Owner: owner, Types: Types})
	if err != nil {
		return Holdings{}, err
	}
	ended, err := e.Ledger.Traces(ctx, owner)
	return Holdings{Sessions: listed.Sessions, Ended: ended}, err
}

// EndSession ends one session of a user, by the word of the operator by. Fails
// with AppUnknown, Unavailable, else as Store.End does.
func (e *Engine) EndSession(ctx context.Context, owner Owner, id ID, by string) (Receipt, error) {
	ev := Event{Step: StepAdmin, App: owner.App, User: owner.User, Session: id}
	return e.operate(ctx, ev, func() (Receipt, error) {
		if !id.Valid() {
			return Receipt{}, Fail(Unknown, nil)
		}
		return e.Store.End(ctx, EndStep{Owner: owner, ID: id, Cause: CauseOperator, By: by})
	})
}

// EndUser ends every session of a user: cause is CauseOperator, or CauseAccount
// where the account was disabled or its password changed. None to end is a
// success. Fails with AppUnknown, Unavailable.
func (e *Engine) EndUser(ctx context.Context, owner Owner, cause Cause, by string) (Receipt, error) {
	ev := Event{Step: StepAdmin, App: owner.App, User: owner.User}
	return e.operate(ctx, ev, func() (Receipt, error) {
		return e.Store.EndOthers(ctx, EndOthersStep{Owner: owner, Types: Types, Cause: cause, By: by})
	})
}

// EndApp ends every session of an app that began before now. Fails with
// AppUnknown, Unavailable; then some may have ended, and a retry ends the rest.
func (e *Engine) EndApp(ctx context.Context, app, by string) (Receipt, error) {
	ev := Event{Step: StepAdmin, App: app, By: by}
	receipt, err := e.operate(ctx, ev, func() (Receipt, error) { return e.Ledger.EndApp(ctx, app) })
	if err == nil { // nobody knows which sessions there were, so it is told as one ending
		e.observeEnded(ctx, ev, []Trace{{Cause: CauseApp, By: by}})
	}
	return receipt, err
}

// operate runs an operator's step on an app that there is, and tells of it.
func (e *Engine) operate(ctx context.Context, ev Event, step func() (Receipt, error)) (Receipt, error) {
	var receipt Receipt
	err := error(Fail(AppUnknown, nil))
	if e.App(ev.App) != nil {
		receipt, err = step()
	} else {
		ev.App = "" // a name of anybody's making is no label
	}
	e.observe(ctx, ev, err)
	e.observeEnded(ctx, ev, receipt.Ended)
	return receipt, err
}
