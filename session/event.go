package session

import "context"

// Event is the outcome of one step. If the step revoked sessions, one event with
// Cause set follows for each of them, or one for all if it does not name them. An event
// holds no token and no secret.
type Event struct {
	Step    Step
	App     string // empty if not known
	User    string // empty if not known
	Account string // of a login: Attempt.Account, which stands for the username
	Network string // of a login: that of the client; empty if not known
	Session ID     // the session that the step was about
	Type    Type
	Code    Code
	Moved   bool   // of a refresh: see RefreshResult
	Cause   Cause  // why Session was revoked; empty in the event of the step itself
	By      string // as in Tombstone
	Number  int    // of the sessions that were revoked, if the event is about many; otherwise 0
	Err     error  // for the log only
}

// setToken sets what the event says about the refresh token of a step.
func (e *Event) setToken(c Claims) { e.User, e.Session, e.Type = c.User.String(), c.Session, c.Type }

// Step names a step of the engine.
type Step string

// The steps, one for each method of [Engine] that reports events; StepAdmin is for
// all methods of operators.
const (
	StepLogin         Step = "login"
	StepRefresh       Step = "refresh"
	StepList          Step = "list"
	StepDestroy       Step = "destroy"
	StepDestroyOthers Step = "destroy_others"
	StepLogout        Step = "logout"
	StepVerify        Step = "verify" // only in the event of a session that it revoked
	StepAdmin         Step = "admin"
)

// Observer receives the events of every step except Authenticate and Verify,
// which are part of other requests. It is called in the step's goroutine, so it
// must be fast and safe for concurrent use.
type Observer interface {
	Observe(ctx context.Context, e Event)
}

// observe reports the outcome of a step. ev.Code is kept if the step has set it
// and err is nil.
func (e *Engine) observe(ctx context.Context, ev Event, err error) {
	if e.Observer == nil {
		return
	}
	if err != nil {
		ev.Code, ev.Err = CodeOf(err), err
	} else if ev.Code == "" {
		ev.Code = OK
	}
	e.Observer.Observe(ctx, ev)
}

// observeResult reports the sessions that a step revoked, as observeRevoked does.
func (e *Engine) observeResult(ctx context.Context, ev Event, result RevokeResult) {
	e.observeRevoked(ctx, ev, result.Revoked)
	if many := result.Many; many != nil {
		e.Revocations.Revoked(*many)
		ev.Session, ev.Code, ev.Cause, ev.By, ev.Number = "", OK, many.Cause, many.By, result.Number
		e.observe(ctx, ev, nil)
	}
}

// observeRevoked reports the sessions that a step revoked. It adds them to this
// instance's revocation list at once; the others receive them from the feed. A
// tombstone without a time gets this instance's.
func (e *Engine) observeRevoked(ctx context.Context, ev Event, revoked []Tombstone) {
	for _, t := range revoked {
		if t.At.IsZero() {
			t.At = e.Now()
		}
		e.Revocations.Revoked(Revocation{Owner: Owner{ev.App, ev.User}, Tombstone: t})
		if e.Observer == nil {
			continue
		}
		ev.Session, ev.Code, ev.Cause, ev.By, ev.Err = t.ID, OK, t.Cause, t.By, nil
		e.Observer.Observe(ctx, ev)
	}
}
