package session

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
)

// Engine runs the steps of a gateway. No decision about a session depends on an
// Engine's memory, so any number of them may share one [Store]. Create one with
// [New]. It is safe for concurrent use.
type Engine struct {
	Config
	digestKey [sha256.Size]byte // random in each process; see digest
	apps      []*App
	byName    map[string]*App
	bySecret  map[[sha256.Size]byte]*App // by the digest of each of an app's secrets
	byHeader  map[string][]*App          // by the encoded JOSE header of the tokens that an app issues
	attempts  attemptLines
}

// Config configures an [Engine]. Store, Limiter and Revocations are required.
type Config struct {
	Apps        []App
	Store       Store
	Limiter     Limiter
	Revocations *RevocationList
	Observer    Observer         // nil means that events are not observed
	Now         func() time.Time // nil means time.Now. Sessions, and the gateway's own tokens, use the store's clock

	// OperatorSecrets holds secrets of the whole process, by the names of their
	// settings. No secret or key of an app may equal one of them.
	OperatorSecrets map[string]string
}

// App is one application that the engine fronts.
type App struct {
	Name           string
	Secrets        []string // each of them identifies and authenticates the app; no two apps may share one
	Policies       map[Type]Policy
	AccessLifetime time.Duration // at least a second
	Signer         Signer
	Devices        DeviceSigner
	Checker        Checker
	UsersInStore   bool // the app's users are in the store's Directory, so each step checks its user

	// LoginAttempts is how many failed logins of an account in a row are allowed before
	// there are waits, and LoginAttemptsPerNetwork how many from one network in 10 minutes.
	// Zero means 100 and 300.
	LoginAttempts, LoginAttemptsPerNetwork int
	// AccountKey returns the text that stands for a username in a Limiter and in logs. It is the
	// same for usernames that a user source may take for the same.
	AccountKey func(username string) string

	clock     appClock  // set by New, as is secretSet
	secretSet SecretSet // of Secrets
}

// AppError is the error of an app whose settings are invalid. The text of Err begins with
// the setting's name.
type AppError struct {
	App   string
	Other string // another app that the settings do not go together with; empty if there is none
	Err   error
}

// Error implements error.
func (e *AppError) Error() string { return "app " + e.App + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *AppError) Unwrap() error { return e.Err }

// New validates cfg and returns an Engine that uses it. The error of an invalid app is an
// [*AppError].
func New(cfg Config) (*Engine, error) {
	if cfg.Store == nil || cfg.Limiter == nil || cfg.Revocations == nil {
		return nil, errors.New("session: Store, Limiter and Revocations are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	e := &Engine{
		Config:   cfg,
		byName:   map[string]*App{},
		bySecret: map[[sha256.Size]byte]*App{},
		byHeader: map[string][]*App{},
	}
	_, _ = rand.Read(e.digestKey[:]) // never fails: crypto/rand aborts the program instead
	for i := range cfg.Apps {
		if other, err := e.add(&cfg.Apps[i]); err != nil {
			return nil, &AppError{App: cfg.Apps[i].Name, Other: other, Err: err}
		}
	}
	return e, nil
}

// add validates an app and adds it. If another app is a part of the error, it returns its
// name.
func (e *Engine) add(app *App) (other string, err error) {
	if err := e.checkApp(app); err != nil {
		return "", err
	}
	app.secretSet = SecretSet{}
	app.secretSet.Add("SECRET_KEY", app.Secrets...)
	if err := e.checkSecrets(app); err != nil {
		return "", err
	}
	for _, other := range e.apps {
		if err := cmp.Or(checkSecretsOf(app, other), checkDistinct(app, other)); err != nil {
			return other.Name, err
		}
	}
	for _, secret := range app.Secrets {
		e.bySecret[e.digest(secret)] = app
	}
	app.clock, app.Checker = appClock{e, app.Name}, timedChecker{app.Checker}
	app.LoginAttempts = cmp.Or(app.LoginAttempts, DefaultLoginAttempts)
	app.LoginAttemptsPerNetwork = cmp.Or(app.LoginAttemptsPerNetwork, DefaultLoginAttemptsPerNetwork)
	for _, h := range app.Signer.Headers() {
		e.byHeader[h] = append(e.byHeader[h], app)
	}
	e.byName[app.Name] = app
	e.apps = append(e.apps, app)
	return "", nil
}

// checkApp checks what concerns an app alone.
func (e *Engine) checkApp(app *App) error {
	switch {
	case app.Signer == nil || app.Checker == nil:
		return errors.New("a signer and a checker are required")
	case app.Devices == nil || app.AccountKey == nil:
		return errors.New("a signer of devices and a function AccountKey are required")
	case app.LoginAttempts < 0 || app.LoginAttemptsPerNetwork < 0:
		return errors.New("LOGIN_ATTEMPTS and LOGIN_ATTEMPTS_PER_NETWORK must be positive")
	case app.AccessLifetime < time.Second:
		return fmt.Errorf("ACCESS_TOKEN_LIFETIME is %s: give at least 1s", app.AccessLifetime)
	case len(app.Secrets) == 0:
		return errors.New("SECRET_KEY is empty: give the secret that the app sends")
	case e.byName[app.Name] != nil:
		return errors.New("two apps have this name")
	}
	for _, t := range Types {
		p, ok := app.Policies[t]
		if !ok {
			return fmt.Errorf("no policy for %s sessions", t)
		}
		if err := p.Validate(); err != nil {
			return fmt.Errorf("%s_SESSION_%w", t, err)
		}
	}
	return nil
}

// checkDistinct rejects an app if its access tokens would be valid for another
// app, or the other way round. That is so when two apps share a key and nothing
// in their tokens names the app.
func checkDistinct(app, other *App) error {
	if app.Signer.Trusts(other.Signer) || other.Signer.Trusts(app.Signer) {
		return fmt.Errorf("SIGNING_KEY, VERIFYING_KEYS or REFRESH_KEY: tokens of this app and of app %s would be valid for both: give each app its own; apps with one SIGNING_KEY need their own AUDIENCE or ISSUER", other.Name)
	}
	return nil
}

// digest returns the hash under which an app's secret is found. It depends on a
// random key, so that the time of a lookup in bySecret discloses nothing about
// the secrets.
func (e *Engine) digest(secret string) [sha256.Size]byte {
	var buf [128]byte
	return sha256.Sum256(append(append(buf[:0], e.digestKey[:]...), secret...))
}

// AppBySecret returns the app with a secret, or nil if there is none.
func (e *Engine) AppBySecret(secret string) *App { return e.bySecret[e.digest(secret)] }

// App returns the app with a name, or nil if there is none.
func (e *Engine) App(name string) *App { return e.byName[name] }
