package session

import "context"

// Step names what a caller asked of the engine.
type Step string

// The engine's steps, one per method.
const (
	StepLogin   Step = "login"
	StepRefresh Step = "refresh"
	StepList    Step = "list"
	StepDestroy Step = "destroy"
	StepOthers  Step = "destroy_others"
	StepLogout  Step = "logout"
	StepVerify  Step = "verify"
	StepAdmin   Step = "admin"
)

// Event tells what a step came to. A step that ended sessions is followed by
// one event with Cause set for each of them. It holds no token and no secret.
type Event struct {
	Step    Step
	App     string // empty when no app could be told
	User    string // empty when no user could be told
	Session ID     // the session that the step was about
	Type    Type
	Code    Code
	Cause   Cause // why Session ended; empty unless it did
	By      string
	Err     error // for the log only
}

// about notes whose refresh token a step was given.
func (e *Event) about(c Claims) { e.User, e.Session, e.Type = c.User.String(), c.Session, c.Type }

// Observer is told of every step. It runs in the step's goroutine, so it must
// be quick and safe for concurrent use.
type Observer interface {
	Observe(ctx context.Context, e Event)
}
