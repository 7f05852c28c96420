package session

import (
	"fmt"
	"strings"
)

// checkSecrets rejects an app if one of its secrets or keys is also another secret of
// this process. An app's secret is part of every client, so whoever holds a client
// would hold the other secret as well: with a signing key, for example, they could
// make access tokens for any user.
func (e *Engine) checkSecrets(app *App) error {
	for setting, secret := range e.OperatorSecrets {
		if secret == "" {
			continue
		}
		if app.hasSecret(secret) {
			return fmt.Errorf("SECRET_KEY is also the value of %s, so every client of the app would hold it: give %s another value", setting, setting)
		}
		if key := app.Signer.SecretSetting(secret); key != "" {
			return fmt.Errorf("%s is also the value of %s: give %s another value", key, setting, setting)
		}
	}
	for _, secret := range app.Secrets {
		if key := app.Signer.SecretSetting(secret); key != "" {
			return fmt.Errorf("SECRET_KEY is also in %s, so every client could sign tokens for any user: "+
				"make a new key with `openssl rand -base64 48`, and leave the old one out of VERIFYING_KEYS", key)
		}
	}
	for _, other := range e.apps {
		if err := checkSecretsOf(app, other); err != nil {
			return err
		}
	}
	return nil
}

// checkSecretsOf compares the secrets and keys of two apps.
func checkSecretsOf(app, other *App) error {
	for _, secret := range app.Secrets {
		if other.hasSecret(secret) {
			return fmt.Errorf("SECRET_KEY is also that of app %s: it identifies the app, so give each app its own", other.Name)
		}
		if key := other.Signer.SecretSetting(secret); key != "" {
			return fmt.Errorf("SECRET_KEY is also in %s of app %s, so every client could sign tokens of that app: give app %s a new key", key, other.Name, other.Name)
		}
	}
	for _, secret := range other.Secrets {
		if key := app.Signer.SecretSetting(secret); key != "" {
			return fmt.Errorf("%s has the SECRET_KEY of app %s, whose clients could sign tokens: make a new key", key, other.Name)
		}
	}
	return nil
}

// hasSecret reports whether a text is one of the app's secrets, with or without white
// space around it.
func (a *App) hasSecret(text string) bool {
	for _, secret := range a.Secrets {
		if strings.TrimSpace(secret) == strings.TrimSpace(text) {
			return true
		}
	}
	return false
}
