// Package config reads the gateway's settings from environment variables.
//
// A setting is a struct field with an `env` tag (its name), a `desc` tag (its
// meaning in one line) and, if the value is secret, `secret:"true"`. The value that
// the field holds before [Load] is its default, so the table that [Rows] returns
// always matches what the program does.
//
// Durations are Go's plus whole days ("30d"). A secret setting NAME may be given as
// NAME_FILE, the path of a file that holds the value; giving both is an error. Errors
// name the setting and what it takes, never the value.
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

// Read reads and checks all settings from "NAME=value" lines, as os.Environ returns
// them. Its error lists every fault. Unknown settings are reported together with missing
// ones, because an unknown setting may be a missing one, misspelt.
func Read(environ []string) (*Config, error) {
	c, env := &Config{Process: DefaultProcess()}, NewEnv(environ)
	faults := []error{Load(env, Prefix, &c.Process), c.validate()}
	if len(c.Apps) == 0 && c.InMemory() {
		c.Apps = []string{DemoName}
	}
	var err error
	c.ByApp, c.Demo, err = LoadApps(env, c.Apps, c.InMemory())
	faults = append(faults, err)
	for _, name := range env.Unknown(Prefix) {
		if len(c.ByApp) > 0 || !strings.HasPrefix(name, Prefix+"APP_") { // without apps, no app's settings were read
			faults = append(faults, env.unknownError(name))
		}
	}
	return c, errors.Join(faults...)
}

// LongestAccess returns the longest time for which an access token of any app may
// live on after its session was revoked: its lifetime plus the leeway.
func (c *Config) LongestAccess() time.Duration {
	var longest time.Duration
	for _, a := range c.ByApp {
		longest = max(longest, a.AccessLifetime+a.Leeway)
	}
	return longest
}

// Secrets returns the secrets that no app's client may hold: those of the whole process
// and the passwords of what it connects to. Each has the name that an error gives it.
func (c *Config) Secrets() map[string]string {
	secrets := map[string]string{Prefix + "ADMIN_TOKEN": c.AdminToken}
	add := func(setting, address string) {
		user, query := urlPasswords(address)
		secrets["the password in "+setting] = user
		secrets["the password parameter in "+setting] = query
	}
	add(Prefix+"REDIS_URL", c.Redis.URL)
	for name, app := range c.ByApp {
		add(AppPrefix(name)+"USERS", app.Users)
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

// AllRows lists all settings with their defaults. <NAME> stands for an app's name.
func AllRows() []Row {
	p, a := DefaultProcess(), DefaultApp()
	return append(Rows(Prefix, &p), Rows(Prefix+"APP_<NAME>_", &a)...)
}
