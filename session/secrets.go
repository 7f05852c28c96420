package session

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// checkSecrets rejects an app if one of its secrets or keys is also a secret of the
// operator, or if its secret is one of its keys. An app's secret is part of every client, so
// whoever holds a client would hold the other secret as well: with a signing key, for example,
// they could make access tokens for any user.
func (e *Engine) checkSecrets(app *App) error {
	if slices.ContainsFunc(app.Secrets, isKeyFile) {
		return errors.New("SECRET_KEY holds a key in PEM or JWK form, and every client of the app would hold it: SECRET_KEY identifies the app; make one with `openssl rand -base64 24`")
	}
	for _, setting := range slices.Sorted(maps.Keys(e.OperatorSecrets)) {
		secret := e.OperatorSecrets[setting]
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

// hasSecret reports whether a text is one of the app's secrets, in any form.
func (a *App) hasSecret(text string) bool { return a.secretSet.Setting(text) != "" }

// isKeyFile reports whether a secret is PEM or a JWK, or the first entry that a list makes
// of one.
func isKeyFile(secret string) bool {
	return strings.Contains(secret, "-----BEGIN ") || strings.HasPrefix(secret, `{"`)
}
