package session

import (
	"context"
	"time"
)

// appClock implements [Clock] for the tokens of one app.
type appClock struct {
	engine *Engine
	app    string
}

// Now implements [Clock].
func (c appClock) Now() time.Time { return c.engine.Now() }

// StoreNow implements [Clock].
func (c appClock) StoreNow(user UserID) (time.Time, error) {
	return c.engine.storeNow(context.Background(), Owner{c.app, user.String()})
}

// storeNow returns the time of the store for an owner's sessions.
func (e *Engine) storeNow(ctx context.Context, owner Owner) (time.Time, error) {
	offset, err := e.Store.ClockOffset(ctx, owner)
	return e.Now().Add(offset), err
}
