package config

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"tokengate/session"
)

// App is one app's settings, under TOKENGATE_APP_<NAME>_.
type App struct {
	SecretKey                   Secrets               `split_words:"true" empty:"is required: give the secret that the app sends with a login" desc:"the Django app's secret_key: identifies and authenticates the app at login, refresh and logout; give several, comma-separated, while you replace one"`
	Users                       Secret                `split_words:"true" empty:"is required: give file:PATH, redis:, or an http(s):// or postgres:// address" desc:"where passwords are checked: file:PATH, redis:, http(s)://…, postgres://…"`
	UsersQuery                  string                `split_words:"true" desc:"for postgres://: SQL that returns id, password and is_active of the user named $1"`
	UsersRecheckQuery           string                `split_words:"true" desc:"for postgres://: SQL that returns is_active and, optionally, password and claims, by these names, of the user whose id is $1"`
	RecheckUser                 Parsed[Recheck]       `split_words:"true" desc:"how long the user source's answer about a user is relied on at refresh: 0s asks each time, off never asks again; default: each time for file:, 30s for postgres://"`
	SessionEndsOnPasswordChange Parsed[bool]          `split_words:"true" desc:"for file: and postgres://: a session ends when the stored hash of its user's password changes; a hash that another program replaced counts as changed"`
	UsernameField               string                `split_words:"true" empty:"is empty: give the user model's field, such as username" desc:"name of the login's first field, as the Django user model's USERNAME_FIELD, such as email"`
	PasswordMinLength           Parsed[int]           `split_words:"true" desc:"fewest characters of a password that is set with the user commands or the admin API"`
	LoginAttempts               Parsed[int]           `split_words:"true" desc:"failed logins of one account in a row, 1 to 100; after them one attempt is allowed after 1 minute, then after 2, 4 and so on up to 24 hours"`
	LoginAttemptsPerNetwork     Parsed[int]           `split_words:"true" desc:"failed logins from one client network (IPv4 address or IPv6 /64) in 10 minutes"`
	SigningKey                  Secret                `split_words:"true" empty:"is required: give the key that signs this app's tokens" desc:"for HS*: the secret itself; otherwise a private key as PEM or JWK (Set)"`
	Algorithm                   string                `split_words:"true" empty:"is empty: give an algorithm such as HS256" desc:"signature algorithm: HS256, HS384, HS512, RS256, PS256, ES256 or EdDSA"`
	VerifyingKeys               Secret                `split_words:"true" desc:"retired keys: PEM, a JWK (Set), or secrets separated by commas; access tokens of those that fit ALGORITHM, and refresh tokens of each secret or private key, are still accepted; public keys are published"`
	RefreshKey                  Secrets               `split_words:"true" desc:"secret that signs refresh tokens, which only the gateway reads; comma-separated, the first signs; default: derived, the key derived from SIGNING_KEY, which is accepted in any case. Set it for HS*, where apps hold the signing key"`
	AccessTokenLifetime         Parsed[time.Duration] `split_words:"true" desc:"lifetime of an access token, for all session types"`
	Issuer                      string                `split_words:"true" desc:"iss claim of the tokens; if set, tokens must have it"`
	Audience                    List                  `split_words:"true" desc:"aud claim of the tokens, comma-separated; if set, tokens must have one of them"`
	Leeway                      Parsed[time.Duration] `split_words:"true" desc:"clock difference tolerated at exp, iat and nbf"`
	UserIDClaim                 string                `split_words:"true" desc:"claim that holds the user id"`
	TokenTypeClaim              string                `split_words:"true" desc:"claim that holds access or refresh"`
	JTIClaim                    string                `split_words:"true" desc:"claim that holds the token's own id"`
	AuthHeaderTypes             List                  `split_words:"true" empty:"is empty: give at least one scheme, such as Bearer" desc:"accepted schemes of the header with the access token; WWW-Authenticate names the first"`
	AuthHeaderName              string                `split_words:"true" desc:"header that carries the access token"`
	TokenProfile                string                `split_words:"true" empty:"is empty: give a profile such as simplejwt" desc:"simplejwt: the Django app's claims and sid; rfc9068: at+jwt, needs ISSUER"`
	LongSession                 Policy                `split_words:"true"`
	ShortSession                Policy                `split_words:"true"`
}

// longSession and shortSession begin the names of the settings of a session type.
const longSession, shortSession = "LONG_SESSION_", "SHORT_SESSION_"

// Policy holds the settings of one session type. BlacklistAfterRotation has no effect and
// exists because the Django app has it: a spent token is always rejected outside the retry
// window.
type Policy struct {
	RefreshTokenLifetime       Parsed[time.Duration] `split_words:"true" desc:"how long a session lives if nothing extends it"`
	RotateRefreshTokens        Parsed[bool]          `split_words:"true" desc:"each refresh spends the token and returns the next"`
	BlacklistAfterRotation     Parsed[bool]          `split_words:"true" desc:"accepted from the Django app's settings, without effect: a spent token is always rejected outside the retry window"`
	ReuseDetection             Parsed[bool]          `split_words:"true" desc:"a spent token that is presented again outside the retry window revokes its session; false: it is only rejected"`
	RetryWindow                Parsed[time.Duration] `split_words:"true" desc:"how long the token that was just spent still gets the same successor; 0s to 300s"`
	UpdateLastLogin            Parsed[bool]          `split_words:"true" desc:"a refresh updates last_update"`
	ExtendSession              Parsed[bool]          `split_words:"true" desc:"a refresh may extend the session"`
	ExtendSessionEveryTime     Parsed[bool]          `split_words:"true" desc:"every refresh extends it"`
	ExtendSessionOnceAfterEach Parsed[time.Duration] `split_words:"true" desc:"only a refresh with less than this time left extends it"`
	AbsoluteLifetime           Parsed[time.Duration] `split_words:"true" desc:"nothing extends a session beyond this age; at most 400d"`
	LimitNumberOfAvailSessions Parsed[bool]          `split_words:"true" desc:"whether MAX_NUMBER_ACTIVE_SESSIONS applies"`
	MaxNumberActiveSessions    Parsed[int]           `split_words:"true" desc:"live sessions of this type that a user may have; 0 to 1000; 0 rejects every login"`
	DestroyOldestActiveSession Parsed[bool]          `split_words:"true" desc:"at the maximum, a login revokes the least recently updated session; false: the login is rejected"`
}

// DefaultApp returns the defaults of every app.
func DefaultApp() App {
	policy := Policy{
		RotateRefreshTokens: parsed(true), BlacklistAfterRotation: parsed(true), ReuseDetection: parsed(true),
		RetryWindow: parsed(30 * time.Second), UpdateLastLogin: parsed(true),
		LimitNumberOfAvailSessions: parsed(true), DestroyOldestActiveSession: parsed(true),
	}
	long, short := policy, policy
	long.RefreshTokenLifetime, long.AbsoluteLifetime, long.MaxNumberActiveSessions = parsed(30*day), parsed(90*day), parsed(5)
	long.ExtendSession, long.ExtendSessionOnceAfterEach = parsed(true), parsed(15*day)
	short.RefreshTokenLifetime, short.AbsoluteLifetime, short.MaxNumberActiveSessions = parsed(day), parsed(7*day), parsed(2)
	short.ExtendSessionOnceAfterEach = parsed(12 * time.Hour)
	return App{
		Algorithm: "HS256", AccessTokenLifetime: parsed(5 * time.Minute),
		SessionEndsOnPasswordChange: parsed(true), UsernameField: "username", PasswordMinLength: parsed(8),
		LoginAttempts: parsed(session.DefaultLoginAttempts), LoginAttemptsPerNetwork: parsed(session.DefaultLoginAttemptsPerNetwork),
		UserIDClaim: "user_id", TokenTypeClaim: "token_type", JTIClaim: "jti",
		AuthHeaderTypes: List{"JWT", "Bearer"}, AuthHeaderName: "Authorization",
		TokenProfile: "simplejwt", LongSession: long, ShortSession: short,
	}
}

var appName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// AppPrefix returns the prefix of the names of an app's settings.
func AppPrefix(name string) string {
	return Prefix + "APP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "_"
}

// readApps reads and checks the settings of the apps with these names, and reports their
// faults. If sessions are kept in memory and names holds [DemoName], it generates that app,
// unless demo is not nil.
func (c *Config) readApps(r *reader, names []string, demo *Demo, report func(app string, err error)) {
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			report("", fmt.Errorf("TOKENGATE_APPS names %s twice", name))
			continue
		}
		app := DefaultApp()
		generated := c.InMemory() && name == DemoName
		if generated {
			c.Demo = newDemo()
			if demo != nil {
				*c.Demo = *demo
			}
			app = c.Demo.defaults(app)
		}
		err := readApp(r, name, &app)
		if err == nil {
			err = c.checkUsers(app, AppPrefix(name))
		}
		if generated {
			c.Demo.app = app
		}
		c.addApp(name, app, AppPrefix(name))
		report(name, err)
	}
}

// Equal reports whether two apps have the same settings.
func (a App) Equal(other App) bool { return reflect.DeepEqual(a, other) }

// addApp adds an app whose settings have names that begin with prefix.
func (c *Config) addApp(name string, app App, prefix string) {
	c.Names = append(c.Names, name)
	c.ByApp[name], c.prefixes[name] = app, prefix
}

// checkUsers checks that the app's user source exists where sessions are in memory. prefix
// begins the names of the app's settings.
func (c *Config) checkUsers(app App, prefix string) error {
	if c.InMemory() && app.Users == "redis:" {
		return fmt.Errorf("%sUSERS is redis: but TOKENGATE_REDIS_URL is empty: set it, or keep the users in a file", prefix)
	}
	return nil
}

// readApp reads and checks one app's settings. app holds the defaults. The settings of an
// invalid name are read too if only its case is wrong, so that their faults are told with it.
func readApp(r *reader, name string, app *App) error {
	var invalid error
	if !appName.MatchString(name) {
		invalid = fmt.Errorf("TOKENGATE_APPS: %w", invalidName(name))
		if name = strings.ToLower(name); !appName.MatchString(name) {
			r.skipped = true
			return invalid
		}
	}
	r.apps = append(r.apps, AppPrefix(name))
	err := r.read(AppPrefix(name), app)
	if err == nil {
		err = app.validate(AppPrefix(name))
	}
	return errors.Join(invalid, err)
}

func invalidName(name string) error {
	return fmt.Errorf("invalid app name %q: give lower-case letters, digits and -, starting with a letter, at most 32 characters", name)
}

// The largest values of settings. That of LOGIN_ATTEMPTS is the most that NIST SP 800-63B-4,
// section 3.2.2, allows.
const (
	maxMinPassword     = 128       // PASSWORD_MIN_LENGTH
	maxLoginAttempts   = 100       // LOGIN_ATTEMPTS
	maxNetworkAttempts = 1_000_000 // LOGIN_ATTEMPTS_PER_NETWORK
)

// validate checks what no other package checks. Keys, algorithms and lifetimes are
// checked where they are used. prefix begins the names of the app's settings.
func (a *App) validate(prefix string) error {
	var faults []error
	if n := a.PasswordMinLength.Value; n < 1 || n > maxMinPassword {
		faults = append(faults, fmt.Errorf("%sPASSWORD_MIN_LENGTH is %d: give 1 to %d characters", prefix, n, maxMinPassword))
	}
	if n := a.LoginAttempts.Value; n < 1 || n > maxLoginAttempts {
		faults = append(faults, fmt.Errorf("%sLOGIN_ATTEMPTS is %d: give 1 to %d", prefix, n, maxLoginAttempts))
	}
	if n := a.LoginAttemptsPerNetwork.Value; n < 1 || n > maxNetworkAttempts {
		faults = append(faults, fmt.Errorf("%sLOGIN_ATTEMPTS_PER_NETWORK is %d: give 1 to %d", prefix, n, maxNetworkAttempts))
	}
	if err := a.LongSession.SessionPolicy().Validate(); err != nil {
		faults = append(faults, fmt.Errorf("%s%s%w", prefix, longSession, err))
	}
	if err := a.ShortSession.SessionPolicy().Validate(); err != nil {
		faults = append(faults, fmt.Errorf("%s%s%w", prefix, shortSession, err))
	}
	return errors.Join(faults...)
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
	for _, p := range []struct {
		prefix string
		Policy
	}{{longSession, a.LongSession}, {shortSession, a.ShortSession}} {
		if p.ExtendSessionEveryTime.Value && !p.ExtendSession.Value {
			list = append(list, p.prefix+"EXTEND_SESSION_EVERY_TIME has no effect without "+p.prefix+"EXTEND_SESSION: set both, or neither")
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
	return derivedKey(string(a.SigningKey), "dummy hashes", name)
}

// AccountKeySecret returns the secret of the account keys of the app with this name; see
// users.AccountKey. It is derived from the first refresh key, or else from the signing key.
// With a new one, the counts of failed logins begin anew, and no device is known.
func (a App) AccountKeySecret(name string) []byte {
	if len(a.RefreshKey) > 0 && a.RefreshKey[0] != derivedRefreshKey {
		return derivedKey(a.RefreshKey[0], "account keys", name)
	}
	return derivedKey(string(a.SigningKey), "account keys", name)
}

// derivedRefreshKey is the entry of REFRESH_KEY that package token calls Derived.
const derivedRefreshKey = "derived"

// derivedKey returns a key for one purpose of the app with this name.
func derivedKey(secret, purpose, name string) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("tokengate " + purpose + " " + name)) // no token and no kid is derived from a text of this form
	return mac.Sum(nil)
}

// Policies returns the policy of each session type.
func (a App) Policies() map[session.Type]session.Policy {
	return map[session.Type]session.Policy{session.Long: a.LongSession.SessionPolicy(), session.Short: a.ShortSession.SessionPolicy()}
}

// SessionPolicy returns the policy in the form that package session uses.
func (p Policy) SessionPolicy() session.Policy {
	return session.Policy{
		Lifetime: p.RefreshTokenLifetime.Value, Rotate: p.RotateRefreshTokens.Value,
		ReuseDetection: p.ReuseDetection.Value, RetryWindow: p.RetryWindow.Value, UpdateLastLogin: p.UpdateLastLogin.Value,
		Extend: p.ExtendSession.Value, ExtendEveryTime: p.ExtendSessionEveryTime.Value, ExtendOnceAfter: p.ExtendSessionOnceAfterEach.Value,
		AbsoluteLifetime: p.AbsoluteLifetime.Value,
		Limit:            p.LimitNumberOfAvailSessions.Value, Max: p.MaxNumberActiveSessions.Value, DestroyOldest: p.DestroyOldestActiveSession.Value,
	}
}
