package settings

import (
	"crypto/rand"
	"slices"
)

// Demo is the app that is made up for who has named none: a secret, a key and
// one user, all drawn at random and gone with the process.
type Demo struct {
	Secret   string
	Password string // of the user Name
	key      string
	app      App // as it is after the settings
}

// Name names the demo app, and its user.
func (*Demo) Name() string { return "demo" }

// demoUsers is no user source of any other app: no setting of it is taken.
const demoUsers = "demo:"

// NewDemo makes a Demo up.
func NewDemo() *Demo {
	return &Demo{Secret: rand.Text(), Password: rand.Text(), key: rand.Text() + rand.Text()}
}

// Defaults are defaults with what is made up in place of what is required.
func (d *Demo) Defaults(defaults App) App {
	defaults.SecretKey, defaults.SigningKey, defaults.Users = []string{d.Secret}, d.key, demoUsers
	return defaults
}

// Users tells whether a's users are the demo's own.
func (d *Demo) Users(a App) bool { return d != nil && a.Users == demoUsers }

// MadeUp is what a login needs of what was made up: nobody knows it who isn't
// told. What a setting replaced is empty: whoever set it knows it, and it is not
// for the terminal.
func (d *Demo) MadeUp() (secret, username, password string) {
	if d == nil {
		return "", "", ""
	}
	if slices.Contains(d.app.SecretKey, d.Secret) {
		secret = d.Secret
	}
	if d.Users(d.app) {
		username, password = d.Name(), d.Password
	}
	return secret, username, password
}

// load reads the demo app's settings on top of what is made up.
func (d *Demo) load(env *Env, defaults App) (App, error) {
	var err error
	d.app, err = LoadApp(env, d.Name(), d.Defaults(defaults))
	return d.app, err
}
