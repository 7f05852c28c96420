package session

// Caller is the user and the session that a valid token names.
type Caller struct {
	App    *App
	Claims Claims
}

func (c Caller) owner() Owner { return Owner{c.App.Name, c.Claims.User.String()} }

// session returns the token's session, or empty if another program issued the
// token for a session of its own, or for none.
func (c Caller) session() ID {
	if c.Claims.Session.Valid() {
		return c.Claims.Session
	}
	return ""
}

func (c Caller) event(step Step) Event {
	return Event{Step: step, App: c.App.Name, User: c.Claims.User.String(), Session: c.Claims.Session}
}
