package config

import (
	"crypto/rand"
	"slices"
)

// Demo is the demo app. With sessions in memory it is generated if TOKENGATE_APPS is
// empty or contains its name. Its secret, its keys and the password of its user
// are random, and are lost when the process ends.
type Demo struct {
	Secret     Secret // secret_key of the app
	Password   Secret // of the user DemoName
	key        Secret // signing key
	refreshKey Secret
	app        App // the app with its settings applied
}

// DemoName is the name of the demo app and of its user.
const DemoName = "demo"

// demoUsers is the default of USERS for the demo app. For other apps it is invalid.
const demoUsers = "demo:"

// newDemo generates a Demo.
func newDemo() *Demo {
	return &Demo{Secret: newSecret(), Password: newSecret(), key: newSecret() + newSecret(), refreshKey: newSecret() + newSecret()}
}

func newSecret() Secret { return Secret(rand.Text()) }

// defaults returns app with generated values for the settings that are required.
func (d *Demo) defaults(app App) App {
	app.SecretKey, app.SigningKey, app.Users = Secrets{string(d.Secret)}, d.key, demoUsers
	app.RefreshKey = Secrets{string(d.refreshKey)}
	return app
}

// HasGeneratedUser reports whether a has the generated user. It returns false if d is nil.
func (d *Demo) HasGeneratedUser(a App) bool { return d != nil && a.Users == demoUsers }

// Generated returns the generated values that a login needs, so that they can be
// printed. It returns an empty string for a value that a setting replaced: the operator
// has that value, and it does not belong on the terminal.
func (d *Demo) Generated() (secret, username, password string) {
	if d == nil {
		return "", "", ""
	}
	if slices.Contains(d.app.SecretKey, string(d.Secret)) {
		secret = string(d.Secret)
	}
	if d.HasGeneratedUser(d.app) {
		username, password = DemoName, string(d.Password)
	}
	return secret, username, password
}
