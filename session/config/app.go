package config

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"tokengate/session"
)

// App is one app's settings, under TOKENGATE_APP_<NAME>_.
type App struct {
	SecretKey      []string      `env:"SECRET_KEY" secret:"true" desc:"the Django app's secret_key: identifies and authenticates the app at login, refresh and logout; give several, comma-separated, while you replace one"`
	Users          string        `env:"USERS" secret:"true" desc:"where passwords are checked: file:PATH, redis:, http(s)://…, postgres://…"`
	UsersQuery     string        `env:"USERS_QUERY" desc:"for postgres://: SQL that returns id, password and is_active of the user named $1"`
	RecheckQuery   string        `env:"USERS_RECHECK_QUERY" desc:"for postgres://: SQL that returns is_active and, optionally, password and claims, by these names, of the user whose id is $1"`
	RecheckUser    Recheck       `env:"RECHECK_USER" desc:"how long the user source's answer about a user is relied on at refresh: 0s asks each time, off never asks again; default: each time for file:, 30s for postgres://"`
	EndOnChange    bool          `env:"SESSION_ENDS_ON_PASSWORD_CHANGE" desc:"for file: and postgres://: a session ends when the stored hash of its user's password changes; a hash that another program replaced counts as changed"`
	UsernameField  string        `env:"USERNAME_FIELD" desc:"name of the login's first field, as the Django user model's USERNAME_FIELD, such as email"`
	MinPassword    int           `env:"PASSWORD_MIN_LENGTH" desc:"fewest characters of a password that is set with the user commands or the admin API"`
	SigningKey     string        `env:"SIGNING_KEY" secret:"true" desc:"for HS*: the secret itself; otherwise a private key as PEM or JWK (Set)"`
	Algorithm      string        `env:"ALGORITHM" desc:"signature algorithm: HS256, HS384, HS512, RS256, PS256, ES256 or EdDSA"`
	VerifyingKeys  string        `env:"VERIFYING_KEYS" secret:"true" desc:"retired keys: PEM, a JWK (Set), or secrets separated by commas; access tokens of those that fit ALGORITHM, and refresh tokens of each secret or private key, are still accepted; public keys are published"`
	RefreshKey     []string      `env:"REFRESH_KEY" secret:"true" desc:"secret that signs refresh tokens, which only the gateway reads; comma-separated, the first signs; default: derived from SIGNING_KEY. Set it for HS*, where apps hold the signing key"`
	AccessLifetime time.Duration `env:"ACCESS_TOKEN_LIFETIME" desc:"lifetime of an access token, for all session types"`
	Issuer         string        `env:"ISSUER" desc:"iss claim of the tokens; if set, tokens must have it"`
	Audience       []string      `env:"AUDIENCE" desc:"aud claim of the tokens, comma-separated; if set, tokens must have one of them"`
	Leeway         time.Duration `env:"LEEWAY" desc:"clock difference tolerated at exp, iat and nbf"`
	UserIDClaim    string        `env:"USER_ID_CLAIM" desc:"claim that holds the user id"`
	TokenTypeClaim string        `env:"TOKEN_TYPE_CLAIM" desc:"claim that holds access or refresh"`
	JTIClaim       string        `env:"JTI_CLAIM" desc:"claim that holds the token's own id"`
	HeaderTypes    []string      `env:"AUTH_HEADER_TYPES" desc:"accepted schemes of the header with the access token; WWW-Authenticate names the first"`
	HeaderName     string        `env:"AUTH_HEADER_NAME" desc:"header that carries the access token"`
	TokenProfile   string        `env:"TOKEN_PROFILE" desc:"simplejwt: the Django app's claims and sid; rfc9068: at+jwt, needs ISSUER"`
	Long           Policy        `env:"LONG_SESSION_"`
	Short          Policy        `env:"SHORT_SESSION_"`
}

// Policy holds the settings of one session type. Blacklist has no effect and exists
// because the Django app has it: a spent token is always rejected outside the retry
// window.
type Policy struct {
	Lifetime         time.Duration `env:"REFRESH_TOKEN_LIFETIME" desc:"how long a session lives if nothing extends it"`
	Rotate           bool          `env:"ROTATE_REFRESH_TOKENS" desc:"each refresh spends the token and returns the next"`
	Blacklist        bool          `env:"BLACKLIST_AFTER_ROTATION" desc:"accepted from the Django app's settings, without effect: a spent token is always rejected outside the retry window"`
	ReuseDetection   bool          `env:"REUSE_DETECTION" desc:"a spent token that is presented again outside the retry window revokes its session; false: it is only rejected"`
	RetryWindow      time.Duration `env:"RETRY_WINDOW" desc:"how long the token that was just spent still gets the same successor; 0s to 300s"`
	UpdateLastLogin  bool          `env:"UPDATE_LAST_LOGIN" desc:"a refresh updates last_update"`
	Extend           bool          `env:"EXTEND_SESSION" desc:"a refresh may extend the session"`
	ExtendEveryTime  bool          `env:"EXTEND_SESSION_EVERY_TIME" desc:"every refresh extends it"`
	ExtendOnceAfter  time.Duration `env:"EXTEND_SESSION_ONCE_AFTER_EACH" desc:"only a refresh with less than this time left extends it"`
	AbsoluteLifetime time.Duration `env:"ABSOLUTE_LIFETIME" desc:"nothing extends a session beyond this age; at most 400d"`
	Limit            bool          `env:"LIMIT_NUMBER_OF_AVAIL_SESSIONS" desc:"whether MAX_NUMBER_ACTIVE_SESSIONS applies"`
	Max              int           `env:"MAX_NUMBER_ACTIVE_SESSIONS" desc:"live sessions of this type that a user may have; 0 to 1000; 0 rejects every login"`
	DestroyOldest    bool          `env:"DESTROY_OLDEST_ACTIVE_SESSION" desc:"at the maximum, a login revokes the least recently updated session; false: the login is rejected"`
}

// DefaultApp returns the defaults of every app.
func DefaultApp() App {
	policy := Policy{
		Rotate: true, Blacklist: true, ReuseDetection: true, RetryWindow: 30 * time.Second,
		UpdateLastLogin: true, Limit: true, DestroyOldest: true,
	}
	long, short := policy, policy
	long.Lifetime, long.AbsoluteLifetime, long.Max = 30*day, 90*day, 5
	long.Extend, long.ExtendOnceAfter = true, 15*day
	short.Lifetime, short.AbsoluteLifetime, short.Max = day, 7*day, 2
	short.ExtendOnceAfter = 12 * time.Hour
	return App{
		Algorithm: "HS256", AccessLifetime: 5 * time.Minute,
		EndOnChange: true, UsernameField: "username", MinPassword: 8,
		UserIDClaim: "user_id", TokenTypeClaim: "token_type", JTIClaim: "jti",
		HeaderTypes: []string{"JWT", "Bearer"}, HeaderName: "Authorization",
		TokenProfile: "simplejwt", Long: long, Short: short,
	}
}

var appName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// AppPrefix returns the prefix of the names of an app's settings.
func AppPrefix(name string) string {
	return "TOKENGATE_APP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "_"
}

// LoadApps reads and checks the settings of the apps with these names. If sessions are
// kept in memory and names holds [DemoName], it generates that app. Otherwise the
// returned Demo is nil.
func LoadApps(env *Env, names []string, inMemory bool) (map[string]App, *Demo, error) {
	if len(names) == 0 {
		return nil, nil, errors.New("TOKENGATE_APPS is required with TOKENGATE_REDIS_URL: name the apps that this gateway fronts")
	}
	apps, defaults := map[string]App{}, DefaultApp()
	var demo *Demo
	var faults []error
	for _, name := range names {
		var err error
		if inMemory && name == DemoName {
			demo = NewDemo()
			apps[name], err = demo.load(env, defaults)
		} else {
			apps[name], err = LoadApp(env, name, defaults)
		}
		if err == nil && inMemory && apps[name].Users == "redis:" {
			err = fmt.Errorf("%sUSERS is redis: but TOKENGATE_REDIS_URL is empty: set it, or keep the users in a file", AppPrefix(name))
		}
		faults = append(faults, err)
	}
	return apps, demo, errors.Join(faults...)
}

// LoadApp reads and checks one app's settings, on top of defaults.
func LoadApp(env *Env, name string, defaults App) (App, error) {
	if !appName.MatchString(name) {
		return App{}, fmt.Errorf("TOKENGATE_APPS: invalid app name %q: give lower-case letters, digits and -, starting with a letter, at most 32 characters", name)
	}
	app := defaults
	if err := Load(env, AppPrefix(name), &app); err != nil {
		return App{}, err
	}
	if err := app.validate(); err != nil {
		return App{}, fmt.Errorf("%s%w", AppPrefix(name), err)
	}
	return app, nil
}

// maxMinPassword is the largest value of PASSWORD_MIN_LENGTH.
const maxMinPassword = 128

// validate checks what no other package checks. Keys, algorithms and lifetimes are
// checked where they are used.
func (a App) validate() error {
	switch {
	case len(a.SecretKey) == 0:
		return errors.New("SECRET_KEY is required: give the secret that the app sends with a login")
	case a.Users == "":
		return errors.New("USERS is required: give file:PATH, redis:, or an http(s):// or postgres:// address")
	case a.SigningKey == "":
		return errors.New("SIGNING_KEY is required: give the key that signs this app's tokens")
	case a.Algorithm == "":
		return errors.New("ALGORITHM is empty: give an algorithm such as HS256")
	case a.UsernameField == "":
		return errors.New("USERNAME_FIELD is empty: give the user model's field, such as username")
	case a.TokenProfile == "":
		return errors.New("TOKEN_PROFILE is empty: give a profile such as simplejwt")
	case len(a.HeaderTypes) == 0:
		return errors.New("AUTH_HEADER_TYPES is empty: give at least one scheme, such as Bearer")
	}
	if a.MinPassword < 1 || a.MinPassword > maxMinPassword {
		return fmt.Errorf("PASSWORD_MIN_LENGTH is %d: give 1 to %d characters", a.MinPassword, maxMinPassword)
	}
	if err := a.Long.SessionPolicy().Validate(); err != nil {
		return fmt.Errorf("LONG_SESSION_%w", err)
	}
	if err := a.Short.SessionPolicy().Validate(); err != nil {
		return fmt.Errorf("SHORT_SESSION_%w", err)
	}
	return nil
}

// minSecretKey is the length of a SECRET_KEY in bytes below which Warnings names it.
const minSecretKey = 16

// Warnings returns what an operator should change about the settings, although they are
// valid. No warning repeats a value.
func (a App) Warnings() (list []string) {
	for i, secret := range a.SecretKey {
		if len(secret) < minSecretKey {
			list = append(list, fmt.Sprintf("SECRET_KEY: secret %d has %d bytes and can be guessed: make one with `openssl rand -base64 32`", i+1, len(secret)))
		}
	}
	return list
}

// DummyKey returns the key of the dummy hashes of the app with this name; see
// users.Options. It is derived from the signing key, so all instances have it and no one
// else does, and it reveals nothing about the signing key. The app's secret key is not
// suitable, because every client of the app may hold it. The price is that a new signing
// key reassigns the dummy hashes, once.
func (a App) DummyKey(name string) []byte {
	mac := hmac.New(sha256.New, []byte(a.SigningKey))
	mac.Write([]byte("tokengate dummy hashes " + name)) // no token and no kid is derived from a text of this form
	return mac.Sum(nil)
}

// Policies returns the policy of each session type.
func (a App) Policies() map[session.Type]session.Policy {
	return map[session.Type]session.Policy{session.Long: a.Long.SessionPolicy(), session.Short: a.Short.SessionPolicy()}
}

// SessionPolicy returns the policy in the form that package session uses.
func (p Policy) SessionPolicy() session.Policy {
	return session.Policy{
		Lifetime: p.Lifetime, Rotate: p.Rotate, ReuseDetection: p.ReuseDetection, RetryWindow: p.RetryWindow,
		UpdateLastLogin: p.UpdateLastLogin, Extend: p.Extend, ExtendEveryTime: p.ExtendEveryTime,
		ExtendOnceAfter: p.ExtendOnceAfter, AbsoluteLifetime: p.AbsoluteLifetime,
		Limit: p.Limit, Max: p.Max, DestroyOldest: p.DestroyOldest,
	}
}
