// Package config reads the gateway's settings from environment variables, with package
// envconfig, and from the files that they name.
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
//
// The environment of a process does not change, but files do. [Config.Reread] reads
// everything again, and [Config.Files] lists the files whose changes matter.
package config

import (
	"cmp"
	"errors"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// Config holds all settings of a gateway.
type Config struct {
	Process
	Names []string       // of all apps: those of TOKENGATE_APPS, then those of TOKENGATE_APPS_DIR in order
	ByApp map[string]App // the settings of each app in Names
	Demo  *Demo          // nil unless the demo app was generated

	prefixes map[string]string // see SettingPrefix
	inDir    map[string]bool   // the apps of TOKENGATE_APPS_DIR
	dir      os.FileInfo       // of TOKENGATE_APPS_DIR
	files    []string          // that were read, or should have been
}

// fault is an error in the settings of an app, or of the whole process if app is empty.
type fault struct {
	app string
	err error
}

// Read reads and checks all settings. Its error lists all that are missing, unknown or can't
// be parsed: an unknown setting may be a missing one, misspelt. If an app has none of these
// faults, its values are checked too.
func Read() (*Config, error) {
	c, faults, errDir := read(&Config{})
	var errs []error
	for _, f := range faults {
		errs = append(errs, f.err)
	}
	return c, errors.Join(append(errs, errDir)...)
}

// Reread reads all settings again, and returns their faults. It leaves c as it is. Where the
// new settings of an app, or those of the process, have a fault, the result has those of c. An
// app with a fault that c does not have is left out.
func (c *Config) Reread() (next *Config, errs []error) {
	next, faults, errDir := read(c)
	for _, f := range faults {
		errs = append(errs, f.err)
		if f.app != "" {
			next.Keep(c, f.app)
		}
	}
	if errDir == nil {
		return next, errs
	}
	next.dir = c.dir
	for _, name := range c.Names {
		if c.inDir[name] {
			next.Keep(c, name)
		}
	}
	return next, append(errs, errDir)
}

// Keep gives an app, or the process if app is empty, the settings that it has in previous.
// If it has none there, it is left out. Keep reports whether that changed anything.
func (c *Config) Keep(previous *Config, app string) (changed bool) {
	if app == "" {
		changed = !c.Process.Equal(previous.Process)
		c.Process = previous.Process
		return changed
	}
	before, has := c.ByApp[app]
	settings, known := previous.ByApp[app]
	if !known {
		c.Names = slices.DeleteFunc(slices.Clone(c.Names), func(name string) bool { return name == app })
		delete(c.ByApp, app)
		return has
	}
	if !has {
		c.Names = append(slices.Clone(c.Names), app)
	}
	c.ByApp[app], c.prefixes[app], c.inDir[app] = settings, previous.prefixes[app], previous.inDir[app]
	return !has || !before.Equal(settings)
}

// read reads all settings. previous has those that were read before, or is the zero Config.
// An error of the folder of apps is returned apart: then it is not known which apps there are.
func read(previous *Config) (c *Config, faults []fault, errDir error) {
	c, r := &Config{Process: DefaultProcess(), ByApp: map[string]App{}, prefixes: map[string]string{}, inDir: map[string]bool{}}, newReader()
	report := func(app string, err error) {
		if err != nil {
			faults = append(faults, fault{app, err})
		}
	}
	report("", r.read(Prefix, &c.Process))
	report("", c.validate())
	if len(faults) > 0 && previous.ByApp != nil {
		c.Process = previous.Process
	}
	names := c.Apps
	if len(names) == 0 && c.InMemory() && c.AppsDir == "" {
		names = List{DemoName}
	}
	if len(names) == 0 && c.AppsDir == "" {
		r.skipped = true
		report("", errors.New("TOKENGATE_APPS is required with TOKENGATE_REDIS_URL: name the apps that this gateway fronts, or give TOKENGATE_APPS_DIR"))
	}
	c.readApps(r, names, previous.Demo, report)
	if c.AppsDir != "" {
		errDir = c.readAppsDir(r, previous.dir, report)
	}
	c.files = r.files
	for _, name := range r.unknown() {
		report("", r.unknownError(name))
	}
	return c, faults, errDir
}

// SettingPrefix returns what stands before the name of an app's setting in a message: the
// rest of the variable's name, or the app's file in TOKENGATE_APPS_DIR.
func (c *Config) SettingPrefix(app string) string { return cmp.Or(c.prefixes[app], AppPrefix(app)) }

// Files returns the paths of the files and folders that the settings depend on, also of
// those that can't be read.
func (c *Config) Files() []string {
	files := slices.Clone(c.files)
	for _, app := range c.ByApp {
		if path, found := strings.CutPrefix(string(app.Users), "file:"); found {
			files = append(files, path)
		}
	}
	if c.TLSCertFile != "" {
		files = append(files, c.TLSCertFile, c.TLSKeyFile)
	}
	slices.Sort(files)
	return slices.Compact(files)
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
		add(c.SettingPrefix(name)+"USERS", string(app.Users))
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
