package session

import (
	"context"
	"errors"
	"time"
)

// The limits of failed logins if an [App] sets none, and the period of the one of networks.
const (
	DefaultLoginAttempts           = 100
	DefaultLoginAttemptsPerNetwork = 300
	networkPeriod                  = 10 * time.Minute
)

// reservation is an [Attempt] of a login, and whether the Limiter counts it.
type reservation struct {
	Attempt
	limiter Limiter
	lines   *attemptLines
	inLines []func() // leave the lines of its budgets
	device  Device   // the known device, if Attempt.Device is set
	network string   // of the client
	counted bool
}

// newReservation returns the attempt of a login, which is not counted yet. account stands
// for its username.
func (e *Engine) newReservation(app *App, req LoginRequest, account string) *reservation {
	r := &reservation{limiter: e.Limiter, lines: &e.attempts, network: req.Network, Attempt: Attempt{
		App: app.Name, Account: account, Network: req.Network,
		Failures: FailureLimit(app.LoginAttempts), NetworkLimit: RateLimit{app.LoginAttemptsPerNetwork, networkPeriod},
	}}
	if req.Device != "" {
		if d, err := app.Devices.VerifyDevice(req.Device, e.Now()); err == nil && d.Account == account {
			r.Device, r.device, r.Network = d.ID, d, ""
		}
	}
	return r
}

// reserve counts the login before its password is compared, when not too many of its
// account and network are being compared. It fails with Busy if it has waited too long for
// that, or as [Limiter].Reserve does. The login must call leave in the end.
func (r *reservation) reserve(ctx context.Context) error {
	timer := time.NewTimer(lineWait)
	defer timer.Stop()
	// A login that waits in the line of its account holds up only those of its own network.
	if r.Network != "" {
		if err := r.enter(ctx, LimitNetwork, r.Network, r.NetworkLimit.Attempts, timer.C); err != nil {
			return err
		}
	}
	limit, key := r.Budget()
	if err := r.enter(ctx, limit, key, int(r.Failures), timer.C); err != nil {
		return err
	}
	return r.count(ctx)
}

// enter waits in the line of a budget.
func (r *reservation) enter(ctx context.Context, limit Limit, key string, budget int, timeout <-chan time.Time) error {
	leave, err := r.lines.enter(ctx, lineKey{r.App, limit, key}, budget, timeout)
	if err == nil {
		r.inLines = append(r.inLines, leave)
	}
	return err
}

// leave lets the next logins of the same account and network be counted.
func (r *reservation) leave() {
	for _, leave := range r.inLines {
		leave()
	}
	r.inLines = nil
}

// count reserves the attempt.
func (r *reservation) count(ctx context.Context) error {
	err := r.limiter.Reserve(ctx, r.Attempt)
	r.counted = err == nil
	return err
}

// confirmDevice counts the login as one from an unknown device if the user's credential is
// not the one with which the device became known: a person with the former password may hold
// its token. It fails as [Limiter].Reserve does.
func (r *reservation) confirmDevice(ctx context.Context, present Fingerprint) error {
	if r.Device == "" || r.device.Credential.Matches(present) {
		return nil
	}
	r.release(ctx)
	r.Device, r.device, r.Network = "", Device{}, r.network
	return r.count(ctx)
}

// settle ends the attempt of a login with the error of its check. An attempt with a wrong
// password stays counted, and one whose password was not compared does not.
func (r *reservation) settle(ctx context.Context, checked error) {
	e, _ := errors.AsType[*Error](checked)
	if code := CodeOf(checked); code != OK && code != InvalidCredentials && (e == nil || !e.Compared) {
		r.release(ctx)
	}
}

// release gives the attempt back, also if the client has disconnected. If that fails, the
// attempt counts as a failure.
func (r *reservation) release(ctx context.Context) {
	if !r.counted {
		return
	}
	r.counted = false
	_ = r.limiter.Release(AnyTime(context.WithoutCancel(ctx)), r.Attempt)
}

// succeed ends the row of failures, while the session is created. The function that it
// returns waits for that. If it fails, the attempt counts as a failure.
func (r *reservation) succeed(ctx context.Context) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.limiter.Succeed(AnyTime(context.WithoutCancel(ctx)), r.Attempt)
	}()
	return func() { <-done }
}

// deviceToken returns the token by which a later login shows that it comes from the same
// device.
func (r *reservation) deviceToken(app *App, credential Fingerprint, now time.Time) (string, error) {
	d := Device{ID: r.Device, Account: r.Account, Credential: credential, Expires: wholeSecond(now.Add(DeviceLifetime))}
	if d.ID == "" {
		d.ID = string(NewID())
	}
	token, err := app.Devices.SignDevice(d)
	return token, internal(err)
}
