package session_test

import (
	"fmt"
	"strings"
	"testing"

	"tokengate/session"
	"tokengate/session/memstore"
)

// TestSecretsAreToldApart checks that no secret of an app equals a key, a secret of
// another app or one of the process, and that the error names the setting and not the
// secret.
func TestSecretsAreToldApart(t *testing.T) {
	policies := map[session.Type]session.Policy{session.Long: validPolicy(), session.Short: validPolicy()}
	for _, c := range []struct {
		secretA, keyA, secretB, keyB, admin string
		want                                string // part of the error; empty means none
	}{
		{"s3cret-a", "key-a", "s3cret-b", "key-b", "admin", ""},
		{"s3cret-a", "key-a", "s3cret-b", "key-b", "", ""},
		{"s3cret-a", "s3cret-a", "s3cret-b", "key-b", "admin", "SECRET_KEY is also in SIGNING_KEY"},
		{" s3cret-a\n", "s3cret-a", "s3cret-b", "key-b", "admin", "SECRET_KEY is also in SIGNING_KEY"},
		{"s3cret-a", "key-a", "s3cret-a", "key-b", "admin", "SECRET_KEY is also that of app a"},
		{"s3cret-a", "key-a", "s3cret-b", "s3cret-a", "admin", "SIGNING_KEY has the SECRET_KEY of app a"},
		{"s3cret-a", "s3cret-b", "s3cret-b", "key-b", "admin", "SECRET_KEY is also in SIGNING_KEY of app a"},
		{"s3cret-a", "key-a", "s3cret-b", "key-b", "s3cret-b", "SECRET_KEY is also the value of TOKENGATE_ADMIN_TOKEN"},
		{"s3cret-a", "key-a", "s3cret-b", "s3cret-k", "s3cret-k", "SIGNING_KEY is also the value of TOKENGATE_ADMIN_TOKEN"},
		{"s3cret-a", "key-a", "s3cret-b", "key-b", "czNjcmV0LWI=", "SECRET_KEY is also the value of TOKENGATE_ADMIN_TOKEN"},
		{"s3cret-a", "key-a", "czNjcmV0LWI", "key-b", "s3cret-b", "SECRET_KEY is also the value of TOKENGATE_ADMIN_TOKEN"},
		{"7333637265742d61", "key-a", "7333637265742D61", "key-b", "admin", "SECRET_KEY is also that of app a"},
		{"\ufeffs3cret-a", "key-a", "s3cret-a", "key-b", "admin", "SECRET_KEY is also that of app a"},
		{"-----BEGIN s3cret KEY-----", "key-a", "s3cret-b", "key-b", "admin", "SECRET_KEY holds a key in PEM or JWK form"},
		{`{"kty":"s3cret"`, "key-a", "s3cret-b", "key-b", "admin", "SECRET_KEY holds a key in PEM or JWK form"},
	} {
		app := func(name, secret, key string) session.App {
			secrets := []string{secret}
			if name == "a" {
				secrets = []string{"another", secret}
			}
			return session.App{Name: name, Secrets: secrets, Policies: policies, AccessLifetime: retention, Signer: &signer{key: key}, Devices: &signer{key: key}, Checker: &checker{}, AccountKey: sameKey}
		}
		_, err := session.New(session.Config{
			Apps:  []session.App{app("a", c.secretA, c.keyA), app("b", c.secretB, c.keyB)},
			Store: memstore.New(memstore.Options{}), Limiter: memstore.New(memstore.Options{}).Limiter(), Revocations: session.NewRevocationList(retention, bound, nil),
			OperatorSecrets: map[string]string{"TOKENGATE_ADMIN_TOKEN": c.admin},
		})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got error %v, want %q", c, err, c.want)
		}
		if strings.Contains(fmt.Sprint(err), "s3cret") {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
}

// TestSecretIsNotPrinted checks that a session's secret is not part of a text that formats
// it.
func TestSecretIsNotPrinted(t *testing.T) {
	s := session.Session{Secret: session.Secret{0xab, 0xcd}}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := strings.ToLower(fmt.Sprintf(format, s)); strings.Contains(text, "abcd") || strings.Contains(text, "0xab") || strings.Contains(text, "171") {
			t.Errorf("%s shows the secret: %s", format, text)
		}
	}
}
