// Package config reads the gateway's settings from environment variables, with package
// envconfig.
//
// A setting is a struct field. Its name, split into words, is the rest of the variable's
// name after the prefix. The tag `desc` has its meaning in one line, and the tag `empty`, if
// the setting must not be empty, the error. Its value before reading is the default, so the
// table that [AllRows] returns always matches what the program does.
//
// Each field is a string or has a type of this package that accepts every text: envconfig
// would stop at the first error and print the value. Durations are Go's plus whole days
// ("30d"). A [Secret] called NAME may be given as NAME_FILE, the path of a file that holds
// the value; giving both is an error. Errors name the setting and what it takes. They don't
// repeat a value that can't be parsed, which may be a secret in the wrong setting; they do
// repeat the names of apps, and numbers and durations that are out of range.
package config

import (
	"cmp"
	"errors"
	"net/url"
	"strings"
	"time"
)

// Config holds all settings of a gateway.
type Config struct {
	Process
	ByApp map[string]App // the settings of each app in Process.Apps
	Demo  *Demo          // nil unless the demo app was generated
}

// Read reads and checks all settings. Its error lists all that are missing, unknown or can't
// be parsed: an unknown setting may be a missing one, misspelt. If an app has none of these
// faults, its values are checked too.
func Read() (*Config, error) {
	c, r := &Config{Process: DefaultProcess()}, newReader()
	faults := []error{r.read(Prefix, &c.Process), c.validate()}
	if len(c.Apps) == 0 && c.InMemory() {
		c.Apps = List{DemoName}
	}
	var err error
	c.ByApp, c.Demo, err = readApps(r, c.Apps, c.InMemory())
	faults = append(faults, err)
	for _, name := range r.unknown() {
		faults = append(faults, r.unknownError(name))
	}
	return c, errors.Join(faults...)
}

// LongestAccess returns the longest time for which an access token of any app may
// live on after its session was revoked: its lifetime plus the leeway.
func (c *Config) LongestAccess() time.Duration {
	var longest time.Duration
	for _, a := range c.ByApp {
		longest = max(longest, a.AccessTokenLifetime.Value+a.Leeway.Value)
	}
	return longest
}

// Secrets returns the secrets that no app's client may hold: those of the whole process
// and the passwords of what it connects to. Each has the name that an error gives it.
func (c *Config) Secrets() map[string]string {
	secrets := map[string]string{Prefix + "ADMIN_TOKEN": string(c.AdminToken)}
	add := func(setting, address string) {
		user, query := urlPasswords(address)
		secrets["the password in "+setting] = user
		secrets["the password parameter in "+setting] = query
	}
	add(Prefix+"REDIS_URL", string(c.Redis.URL))
	for name, app := range c.ByApp {
		add(AppPrefix(name)+"USERS", string(app.Users))
	}
	return secrets
}

// urlPasswords returns the password of a URL's user and that of its parameter password or
// sentinel_password, or empty. Unlike package url it accepts a list of hosts.
func urlPasswords(text string) (user, query string) {
	_, rest, _ := strings.Cut(text, "://")
	rest, parameters, _ := strings.Cut(rest, "?")
	authority, _, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		_, escaped, _ := strings.Cut(authority[:at], ":")
		user, _ = url.PathUnescape(escaped)
	}
	values, _ := url.ParseQuery(parameters)
	return user, cmp.Or(values.Get("password"), values.Get("sentinel_password"))
}
