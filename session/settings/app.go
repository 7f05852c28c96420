package settings

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"tokengate/session"
)

// App is one app's settings, under TOKENGATE_APP_<NAME>_.
type App struct {
	SecretKey      []string      `env:"SECRET_KEY" secret:"true" desc:"the seed's secret_key: names and authenticates the app at login, refresh and logout; several, comma-separated, while one replaces another"`
	Users          string        `env:"USERS" secret:"true" desc:"where passwords are checked: file:PATH, redis:, http(s)://…, postgres://…"`
	UsersQuery     string        `env:"USERS_QUERY" desc:"postgres: SQL for id, password, is_active of the user named $1"`
	RecheckQuery   string        `env:"USERS_RECHECK_QUERY" desc:"postgres: SQL for is_active of the user whose id is $1"`
	RecheckUser    string        `env:"RECHECK_USER" desc:"how long an answer about a user is relied on at refresh: 0s asks each time, off never; by default file: asks each time, postgres: after 30s"`
	SigningKey     string        `env:"SIGNING_KEY" secret:"true" desc:"HS*: the secret itself; else a private key as PEM or JWK (Set)"`
	Algorithm      string        `env:"ALGORITHM" desc:"HS256, HS384, HS512, RS256, PS256, ES256 or EdDSA"`
	VerifyingKeys  string        `env:"VERIFYING_KEYS" secret:"true" desc:"retired keys, PEM or JWK Set: still accepted and published"`
	AccessLifetime time.Duration `env:"ACCESS_TOKEN_LIFETIME" desc:"life of an access token, of every session type"`
	Issuer         string        `env:"ISSUER" desc:"the tokens' iss; then also required of a token"`
	Audience       []string      `env:"AUDIENCE" desc:"the tokens' aud, comma-separated; then one of them is required of a token"`
	Leeway         time.Duration `env:"LEEWAY" desc:"clock difference forgiven at exp, iat and nbf"`
	UserIDClaim    string        `env:"USER_ID_CLAIM" desc:"claim that holds the user id"`
	TokenTypeClaim string        `env:"TOKEN_TYPE_CLAIM" desc:"claim that holds access or refresh"`
	JTIClaim       string        `env:"JTI_CLAIM" desc:"claim that holds the token's own id"`
	HeaderTypes    []string      `env:"AUTH_HEADER_TYPES" desc:"schemes of the access token's header; the first stands in WWW-Authenticate"`
	HeaderName     string        `env:"AUTH_HEADER_NAME" desc:"header that carries the access token"`
	TokenProfile   string        `env:"TOKEN_PROFILE" desc:"simplejwt: the seed's claims and sid; rfc9068: at+jwt, needs ISSUER"`
	Long           Policy        `env:"LONG_SESSION_"`
	Short          Policy        `env:"SHORT_SESSION_"`
}

// Policy is the settings of one session type. Blacklist is read for the seed's
// sake: here a spent token is always refused outside the retry window.
type Policy struct {
	Lifetime         time.Duration `env:"REFRESH_TOKEN_LIFETIME" desc:"how long a session lives when nothing extends it"`
	Rotate           bool          `env:"ROTATE_REFRESH_TOKENS" desc:"each refresh spends the token and returns the next"`
	Blacklist        bool          `env:"BLACKLIST_AFTER_ROTATION" desc:"taken for the seed's sake: a spent token is always refused outside the retry window"`
	ReuseDetection   bool          `env:"REUSE_DETECTION" desc:"a spent token that comes again outside the retry window ends its session; false: it is only refused"`
	RetryWindow      time.Duration `env:"RETRY_WINDOW" desc:"how long the token just spent still gets the same successor; 0s to 300s"`
	UpdateLastLogin  bool          `env:"UPDATE_LAST_LOGIN" desc:"a refresh moves last_update"`
	Extend           bool          `env:"EXTEND_SESSION" desc:"a refresh may move the expiry"`
	ExtendEveryTime  bool          `env:"EXTEND_SESSION_EVERY_TIME" desc:"each refresh moves it"`
	ExtendOnceAfter  time.Duration `env:"EXTEND_SESSION_ONCE_AFTER_EACH" desc:"only a refresh with less than this left moves it"`
	AbsoluteLifetime time.Duration `env:"ABSOLUTE_LIFETIME" desc:"nothing extends a session past this; at most 400d"`
	Limit            bool          `env:"LIMIT_NUMBER_OF_AVAIL_SESSIONS" desc:"whether the maximum counts"`
	Max              int           `env:"MAX_NUMBER_ACTIVE_SESSIONS" desc:"live sessions of the type that a user may have; 0 to 1000, 0 lets nobody in"`
	DestroyOldest    bool          `env:"DESTROY_OLDEST_ACTIVE_SESSION" desc:"at the maximum end the least recently updated; false: refuse the login"`
}

// DefaultApp holds the defaults of every app.
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
		UserIDClaim: "user_id", TokenTypeClaim: "token_type", JTIClaim: "jti",
		HeaderTypes: []string{"JWT", "Bearer"}, HeaderName: "Authorization",
		TokenProfile: "simplejwt", Long: long, Short: short,
	}
}

var appName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// AppPrefix is what the names of an app's settings begin with.
func AppPrefix(name string) string {
	return "TOKENGATE_APP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "_"
}

// LoadApps reads and checks the settings of the apps with these names. With
// sessions in memory it makes the app demo up, if that is among them; else the
// Demo is nil.
func LoadApps(env *Env, names []string, inMemory bool) (map[string]App, *Demo, error) {
	if len(names) == 0 {
		return nil, nil, errors.New("TOKENGATE_APPS is required with TOKENGATE_REDIS_URL: name the apps that this gateway fronts")
	}
	apps, defaults := map[string]App{}, DefaultApp()
	var demo *Demo
	var faults []error
	for _, name := range names {
		var err error
		if inMemory && name == demo.Name() {
			demo = NewDemo()
			apps[name], err = demo.load(env, defaults)
		} else {
			apps[name], err = LoadApp(env, name, defaults)
		}
		faults = append(faults, err)
	}
	return apps, demo, errors.Join(faults...)
}

// LoadApp reads and checks one app's settings, on top of defaults.
func LoadApp(env *Env, name string, defaults App) (App, error) {
	if !appName.MatchString(name) {
		return App{}, fmt.Errorf("TOKENGATE_APPS: %q is no app name: give lower-case letters, digits and -, a letter first, 32 at most", name)
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

// What the settings that take one of a few words take.
var (
	algorithms = []string{"HS256", "HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA"}
	profiles   = []string{"simplejwt", "rfc9068"}
)

// validate checks what no other package does, and words: who uses those would
// repeat a wrong one, which may be a secret. The policies, lifetimes and keys
// are checked where they are used.
func (a App) validate() error {
	switch {
	case len(a.SecretKey) == 0:
		return errors.New("SECRET_KEY is required: give the secret that the app sends with a login")
	case a.Users == "":
		return errors.New("USERS is required: give file:PATH, redis:, an http(s) or a postgres address")
	case a.SigningKey == "":
		return errors.New("SIGNING_KEY is required: give the key that signs this app's tokens")
	case a.Leeway < 0 || a.Leeway > 10*time.Minute:
		return fmt.Errorf("LEEWAY is %s: give 0s to 10m", a.Leeway)
	case !slices.Contains(algorithms, a.Algorithm):
		return errors.New("ALGORITHM: give one of " + strings.Join(algorithms, ", "))
	case !slices.Contains(profiles, a.TokenProfile):
		return errors.New("TOKEN_PROFILE: give one of " + strings.Join(profiles, ", "))
	case a.RecheckUser != "" && a.RecheckUser != "off" && !isDuration(a.RecheckUser):
		return errors.New("RECHECK_USER: give a duration from 0s to 400d, such as 30s, or off")
	case len(a.HeaderTypes) == 0:
		return errors.New("AUTH_HEADER_TYPES is empty: give at least one scheme, such as Bearer")
	}
	if err := a.Long.Engine().Validate(); err != nil {
		return fmt.Errorf("LONG_SESSION_%w", err)
	}
	if err := a.Short.Engine().Validate(); err != nil {
		return fmt.Errorf("SHORT_SESSION_%w", err)
	}
	return nil
}

// LongestAccess is how long an access token of any of apps may outlive its
// session.
func LongestAccess(apps map[string]App) time.Duration {
	var longest time.Duration
	for _, a := range apps {
		longest = max(longest, a.AccessLifetime+a.Leeway)
	}
	return longest
}

// DecoyKey gives what all instances of the app called name know and nobody else
// does (credential.Options). It tells nothing of the signing key that it is made
// of. The secret key would not do: every client of the app may hold it. The
// price: with a new signing key the decoys are dealt anew, once.
func (a App) DecoyKey(name string) []byte {
	mac := hmac.New(sha256.New, []byte(a.SigningKey))
	mac.Write([]byte("tokengate decoys " + name)) // no token and no kid is ever made of this text
	return mac.Sum(nil)
}

func isDuration(text string) bool {
	_, ok := ParseDuration(text)
	return ok
}

// Policies gives both policies as the engine takes them.
func (a App) Policies() map[session.Type]session.Policy {
	return map[session.Type]session.Policy{session.Long: a.Long.Engine(), session.Short: a.Short.Engine()}
}

// Engine is the policy as the engine takes it.
func (p Policy) Engine() session.Policy {
	return session.Policy{
		Lifetime: p.Lifetime, Rotate: p.Rotate, ReuseDetection: p.ReuseDetection, RetryWindow: p.RetryWindow,
		UpdateLastLogin: p.UpdateLastLogin, Extend: p.Extend, ExtendEveryTime: p.ExtendEveryTime,
		ExtendOnceAfter: p.ExtendOnceAfter, AbsoluteLifetime: p.AbsoluteLifetime,
		Limit: p.Limit, Max: p.Max, DestroyOldest: p.DestroyOldest,
	}
}
