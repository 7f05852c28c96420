package token

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"tokengate/session"
)

// TestRetiredKeysOfAnyKind checks that VERIFYING_KEYS can hold keys that do not fit
// ALGORITHM: they sign no access token and are not published, but their refresh tokens are
// accepted.
func TestRetiredKeysOfAnyKind(t *testing.T) {
	k, old := newKeys(t), newKeys(t)
	oct := marshalJWK(t, []byte(oldSecret), nil)
	for name, c := range map[string]struct {
		options       Options
		before        []Options // whose refresh tokens must be valid
		access, jwks  int       // number of keys that verify access tokens, and of those published
		refreshTokens int       // number of refresh secrets
	}{
		"secrets beside a key pair": {Options{Algorithm: "ES256", SigningKey: marshalPKCS8(t, k.ec), VerifyingKeys: oldSecret + "\n" + secret},
			[]Options{{SigningKey: secret}, {SigningKey: oldSecret}}, 1, 1, 3},
		"a key pair beside a secret": {Options{SigningKey: secret, VerifyingKeys: marshalPKCS8(t, old.rsa) + marshalSEC1(t, old.ec)},
			[]Options{{Algorithm: "PS256", SigningKey: marshalPKCS8(t, old.rsa)}, {Algorithm: "ES256", SigningKey: marshalSEC1(t, old.ec)}}, 1, 0, 3},
		"a JWK Set with all kinds": {Options{Algorithm: "EdDSA", SigningKey: marshalPKCS8(t, k.okp),
			VerifyingKeys: jwkSet(oct, marshalJWK(t, old.okp, nil), marshalJWK(t, old.ec, map[string]any{"alg": "ES256"}), marshalJWK(t, k.okp.Public(), nil))},
			[]Options{{SigningKey: oldSecret}, {Algorithm: "EdDSA", SigningKey: marshalPKCS8(t, old.okp)}, {Algorithm: "ES256", SigningKey: marshalPKCS8(t, old.ec)}}, 2, 2, 4},
		"a secret too short for HS512": {Options{Algorithm: "HS512", SigningKey: secret + oldSecret, VerifyingKeys: oldSecret[:32]},
			[]Options{{SigningKey: oldSecret[:32]}}, 1, 0, 2},
		"secrets between PEM blocks": {Options{Algorithm: "EdDSA", SigningKey: marshalPKCS8(t, k.okp),
			VerifyingKeys: secret + "\n" + marshalPKCS8(t, old.okp) + oldSecret + ",\n" + strings.ReplaceAll(marshalSEC1(t, old.ec), "\n", `\n`) + secret + `\n`},
			[]Options{{SigningKey: secret}, {SigningKey: oldSecret}, {SigningKey: secret + `\n`}, {Algorithm: "EdDSA", SigningKey: marshalPKCS8(t, old.okp)}, {Algorithm: "ES256", SigningKey: marshalPKCS8(t, old.ec)}}, 2, 2, 6},
		"a secret that fits": {Options{VerifyingKeys: oldSecret}, []Options{{SigningKey: oldSecret}}, 2, 0, 2},
	} {
		s := newSigner(t, c.options)
		var set struct{ Keys []json.RawMessage }
		if err := json.Unmarshal(s.JWKS(), &set); err != nil || len(set.Keys) != c.jwks || len(s.keyring.keys) != c.access || len(s.refresh.kids) != c.refreshTokens {
			t.Errorf("%s: got %d published keys, %d keys of access tokens and %d refresh secrets (%v), want %d, %d and %d", name,
				len(set.Keys), len(s.keyring.keys), len(s.refresh.kids), err, c.jwks, c.access, c.refreshTokens)
		}
		for _, o := range c.before {
			before := newSigner(t, o)
			checkRefresh(t, name, s, mustSign(t, before, refreshClaims()), refreshClaims())
			fits := s.keyring.byKID[before.keyring.keys[0].kid] != nil
			if _, err := s.Verify(mustSign(t, before, accessClaims()), session.KindAccess, at(now)); (err == nil) != fits {
				t.Errorf("%s: an access token of %s: got %v, want it to be valid: %v", name, o.Algorithm, err, fits)
			}
		}
		if header, _ := parts(t, mustSign(t, s, refreshClaims())); !strings.Contains(header, refreshKID(t, c.options)) {
			t.Errorf("%s: got header %s, want the kid of the key that SIGNING_KEY derives", name, header)
		}
	}
}

// refreshKID returns the kid of the refresh tokens of an app that has no retired keys.
func refreshKID(t *testing.T, o Options) string {
	t.Helper()
	o.VerifyingKeys = ""
	return kidOf(t, mustSign(t, newSigner(t, o), refreshClaims()))
}

func TestNewRejectsUselessRetiredKeys(t *testing.T) {
	k, old := newKeys(t), newKeys(t)
	ecPublic, ec := marshalPKIX(t, &old.ec.PublicKey), marshalPKCS8(t, k.ec)
	x25519, _ := ecdh.X25519().GenerateKey(rand.Reader)
	checkOptionsErrors(t, []optionsError{
		{Options{SigningKey: secret, VerifyingKeys: marshalSEC1(t, old.ec) + ecPublic}, "VERIFYING_KEYS: key 2 is a key pair, but ALGORITHM is HS*"},
		{Options{Algorithm: "EdDSA", SigningKey: marshalPKCS8(t, k.okp), VerifyingKeys: ecPublic}, "VERIFYING_KEYS: key 1 does not fit ALGORITHM=EdDSA"},
		{Options{Algorithm: "PS256", SigningKey: marshalPKCS8(t, k.rsa), VerifyingKeys: marshalJWK(t, &k.rsa.PublicKey, map[string]any{"alg": "RS256"})}, "as a public key it has no other use"},
		{Options{Algorithm: "ES256", SigningKey: ec, VerifyingKeys: marshalPKCS8(t, x25519)}, "VERIFYING_KEYS: key 1 does not fit ALGORITHM=ES256"},
		{Options{Algorithm: "ES256", SigningKey: ec, VerifyingKeys: secret + "," + oldSecret[:31]}, "VERIFYING_KEYS: key 2 has 31 bytes"},
		{Options{Algorithm: "ES256", SigningKey: ec, VerifyingKeys: jwkSet(marshalJWK(t, old.rsa, nil), `{"kty":"oct","k":"c2hvcnQ"}`)}, "VERIFYING_KEYS: key 2 has 5 bytes"},
		{Options{Algorithm: "HS512", SigningKey: secret + oldSecret, VerifyingKeys: secret + "," + oldSecret[:31]}, "VERIFYING_KEYS: key 2 has 31 bytes"},
		{Options{SigningKey: secret, VerifyingKeys: oldSecret + "," + strings.Repeat("z", 40)}, "VERIFYING_KEYS: key 2 consists of one repeated character"},
		{Options{Algorithm: "ES256", SigningKey: ec, VerifyingKeys: strings.Repeat("z", 40)}, "VERIFYING_KEYS: key 1 consists of one repeated character"},
		{Options{SigningKey: strings.Repeat("y", 40)}, "SIGNING_KEY consists of one repeated character"},
		{Options{SigningKey: strings.Repeat("é", 40)}, "SIGNING_KEY consists of one repeated character"},
		{Options{SigningKey: strings.Repeat("y", 40) + "\n"}, "SIGNING_KEY consists of one repeated character"},
		{Options{SigningKey: secret, VerifyingKeys: marshalPKCS8(t, old.ec) + "short"}, "VERIFYING_KEYS: key 2 has 5 bytes"},
		{Options{SigningKey: strings.Repeat("\x00", 64), Algorithm: "HS512"}, "SIGNING_KEY consists of one repeated character"},
		{Options{Algorithm: "ES256", SigningKey: ecPublic + ec + marshalPKCS8(t, k.rsa)}, "SIGNING_KEY: key 3 does not fit ALGORITHM=ES256"},
		{Options{Algorithm: "ES256", SigningKey: marshalPKIX(t, &k.rsa.PublicKey) + ec}, "SIGNING_KEY: key 1 does not fit ALGORITHM=ES256"},
	})
}

func TestNewRejectsInvalidRefreshKeys(t *testing.T) {
	k := newKeys(t)
	ec, long := marshalPKCS8(t, k.ec), secret+oldSecret
	with := func(o Options, keys ...string) Options {
		o.RefreshKeys = keys
		return o
	}
	hs256, hs512, es256 := Options{SigningKey: secret}, Options{Algorithm: "HS512", SigningKey: long}, Options{Algorithm: "ES256", SigningKey: ec}
	retired := func(o Options, keys string) Options {
		o.VerifyingKeys = keys
		return o
	}
	const own = "REFRESH_KEY is also a key of the app's access tokens"
	checkOptionsErrors(t, []optionsError{
		{with(hs256, oldSecret[:31]), "REFRESH_KEY: secret 1 has 31 bytes"},
		{with(hs256, oldSecret, ""), "REFRESH_KEY: secret 2 has 0 bytes"},
		{with(es256, oldSecret[:31]), "REFRESH_KEY: secret 1 has 31 bytes"},
		{with(hs512, (long + "x")[18:]), "REFRESH_KEY: secret 1 has 63 bytes"},
		{with(hs512, long[1:], oldSecret[:31]), "REFRESH_KEY: secret 2 has 31 bytes"},
		{with(hs256, strings.Repeat("q", 40)), "REFRESH_KEY: secret 1 consists of one repeated character"},
		{with(hs256, ec), "REFRESH_KEY: secret 1 is PEM"},
		{with(es256, ec), "REFRESH_KEY: secret 1 is PEM"},
		{with(es256, marshalJWK(t, k.ec, nil)), "REFRESH_KEY: secret 1 is a JWK"},
		{with(hs256, secret), own},
		{with(hs256, long, secret), own},
		{with(retired(hs256, oldSecret), oldSecret), own},
		{with(retired(hs256, jwkSet(marshalJWK(t, []byte(oldSecret), nil))), oldSecret), own},
		{with(retired(es256, oldSecret), oldSecret), own},              // retired with another ALGORITHM
		{with(retired(hs512, oldSecret), secret+long, oldSecret), own}, // too short for HS512
	})
	for _, o := range []Options{with(hs256, oldSecret[:32]), with(hs512, long[:63]+"y", oldSecret[:32]), with(es256, oldSecret[:32]), with(hs256, oldSecret, oldSecret)} {
		s, err := New(o)
		if err != nil {
			t.Errorf("%s, REFRESH_KEY with %d secrets: %v", o.Algorithm, len(o.RefreshKeys), err)
			continue
		}
		checkRefresh(t, o.Algorithm, s, mustSign(t, s, refreshClaims()), refreshClaims())
	}
}

// TestSecretSetting checks that a Signer has its secrets, in use or retired, with white space
// around them, and no other text.
func TestSecretSetting(t *testing.T) {
	third, comma, refresh := "third-secret-0123456789abcdef-0123456789", "a secret, with a comma, of 40 characters", "refresh-key-"+secret
	pair := strings.TrimSpace(marshalPKCS8(t, newKeys(t).ec))
	for name, c := range map[string]struct {
		options Options
		has     []string
	}{
		"SIGNING_KEY":                          {Options{SigningKey: secret}, []string{secret}},
		"SIGNING_KEY with a line end":          {Options{SigningKey: secret + "\r\n"}, []string{secret}},
		"VERIFYING_KEYS":                       {Options{SigningKey: secret, VerifyingKeys: oldSecret + " , " + third}, []string{secret, oldSecret, third}},
		"a JWK":                                {Options{SigningKey: secret, VerifyingKeys: jwkSet(marshalJWK(t, []byte(comma), nil))}, []string{secret, comma}},
		"a secret beside a key pair":           {Options{Algorithm: "ES256", SigningKey: pair, VerifyingKeys: oldSecret}, []string{pair, oldSecret}},
		"a retired secret too short for HS384": {Options{Algorithm: "HS384", SigningKey: secret + third, VerifyingKeys: oldSecret}, []string{secret + third, oldSecret}},
		"REFRESH_KEY":                          {Options{SigningKey: secret, RefreshKeys: []string{refresh, oldSecret}}, []string{secret, refresh, oldSecret}},
	} {
		s := newSigner(t, c.options)
		for _, text := range []string{secret, oldSecret, third, comma, refresh, pair, secret + third} {
			for _, form := range []string{text, text + "\n", " \t" + text + "\r\n", text + " "} {
				if got, want := s.SecretSetting(form) != "", slices.Contains(c.has, text); got != want {
					t.Errorf("%s: SecretSetting(%.12q) is %v, want %v", name, form, got, want)
				}
			}
			for _, other := range []string{text[1:], text[:len(text)-1], text + "x", strings.ToUpper(text), "x " + text} {
				if s.SecretSetting(other) != "" {
					t.Errorf("%s: SecretSetting is set for %.12q, which is no secret", name, other)
				}
			}
		}
		for _, other := range []string{"", " ", "\n", s.keyring.keys[0].kid, derivedRefreshKey(valueOf(t, c.options.SigningKey), "")} {
			if s.SecretSetting(other) != "" {
				t.Errorf("%s: SecretSetting is set for %q, which is no secret", name, other)
			}
		}
	}
}

func TestWarnings(t *testing.T) {
	k, old := newKeys(t), newKeys(t)
	ec, public := marshalPKCS8(t, k.ec), marshalPKIX(t, &old.ec.PublicKey)
	refresh := []string{secret + oldSecret}
	const hs = "REFRESH_KEY is not set: with an HS* ALGORITHM"
	for name, c := range map[string]struct {
		options Options
		want    []string // how the warnings begin
	}{
		"HS256":                     {Options{SigningKey: secret}, []string{hs}},
		"HS256, retired key":        {Options{SigningKey: secret, VerifyingKeys: oldSecret}, []string{hs}},
		"HS512":                     {Options{Algorithm: "HS512", SigningKey: secret + secret}, []string{hs}},
		"HS256, REFRESH_KEY":        {Options{SigningKey: secret, RefreshKeys: refresh}, nil},
		"ES256":                     {Options{Algorithm: "ES256", SigningKey: ec}, nil},
		"ES256, private":            {Options{Algorithm: "ES256", SigningKey: ec, VerifyingKeys: marshalSEC1(t, old.ec) + marshalPKCS8(t, old.rsa)}, nil},
		"ES256, secret":             {Options{Algorithm: "ES256", SigningKey: ec, VerifyingKeys: oldSecret}, nil},
		"ES256, public":             {Options{Algorithm: "ES256", SigningKey: ec, VerifyingKeys: marshalPKCS8(t, old.rsa) + public}, []string{"VERIFYING_KEYS: key 2 is a public key"}},
		"ES256, public in both":     {Options{Algorithm: "ES256", SigningKey: public + ec, VerifyingKeys: marshalJWK(t, &newKeys(t).ec.PublicKey, nil)}, []string{"SIGNING_KEY: key 1 is a public key", "VERIFYING_KEYS: key 1 is a public key"}},
		"ES256, public, with a key": {Options{Algorithm: "ES256", SigningKey: ec, VerifyingKeys: public, RefreshKeys: refresh}, []string{"VERIFYING_KEYS: key 1 is a public key"}},
	} {
		warnings := newSigner(t, c.options).Warnings()
		if len(warnings) != len(c.want) {
			t.Errorf("%s: got warnings %q, want %q", name, warnings, c.want)
			continue
		}
		for i, warning := range warnings {
			if !strings.HasPrefix(warning, c.want[i]) {
				t.Errorf("%s: got warning %q, want one that begins with %q", name, warning, c.want[i])
			}
			checkNoSecret(t, warning, c.options.SigningKey)
			checkNoSecret(t, warning, c.options.VerifyingKeys)
		}
	}
}

// TestSecretForms checks that a secret is found in every form that is the same key to HMAC,
// or that a person may have put into a setting instead.
func TestSecretForms(t *testing.T) {
	long := strings.Repeat(secret, 4)
	k := newKeys(t)
	sha256Sum, sha384Sum, sha512Sum := sha256.Sum256([]byte(long)), sha512.Sum384([]byte(long)), sha512.Sum512([]byte(long))
	base64Key := base64.StdEncoding.EncodeToString([]byte(secret + "\xff\xfe"))
	for name, c := range map[string]struct {
		options Options
		text    string
	}{
		"NUL bytes at the end":              {Options{SigningKey: secret}, secret + "\x00\x00"},
		"NUL bytes at the end of the key":   {Options{SigningKey: secret + "\x00"}, secret},
		"a byte order mark":                 {Options{SigningKey: secret}, "\ufeff" + secret},
		"SHA-256 of a long key":             {Options{SigningKey: long}, string(sha256Sum[:])},
		"SHA-384 of a long key":             {Options{Algorithm: "HS384", SigningKey: long}, string(sha384Sum[:])},
		"SHA-512 of a long key":             {Options{Algorithm: "HS512", SigningKey: long}, string(sha512Sum[:])},
		"base64":                            {Options{SigningKey: secret}, base64.StdEncoding.EncodeToString([]byte(secret))},
		"base64url without padding":         {Options{SigningKey: secret}, base64.RawURLEncoding.EncodeToString([]byte(secret))},
		"hexadecimal digits":                {Options{SigningKey: secret}, hex.EncodeToString([]byte(secret))},
		"what the key is the base64 of":     {Options{SigningKey: base64Key}, secret + "\xff\xfe"},
		"base64 and base64url of one value": {Options{SigningKey: base64Key}, base64.URLEncoding.EncodeToString([]byte(secret + "\xff\xfe"))},
		"the private value of a JWK":        {Options{Algorithm: "ES256", SigningKey: marshalPKCS8(t, k.ec)}, privateMember(t, k.ec)},
		"a retired secret beside PEM":       {Options{Algorithm: "ES256", SigningKey: marshalPKCS8(t, k.ec), VerifyingKeys: marshalPKCS8(t, k.rsa) + oldSecret}, oldSecret},
		"the body of PEM":                   {Options{Algorithm: "ES256", SigningKey: marshalPKCS8(t, k.ec)}, pemBody(marshalPKCS8(t, k.ec))},
		"the body of PEM in hexadecimal":    {Options{Algorithm: "ES256", SigningKey: escapeLineEnds(marshalSEC1(t, k.ec))}, hex.EncodeToString(pemBytes(marshalSEC1(t, k.ec)))},
		"a line of PEM":                     {Options{Algorithm: "RS256", SigningKey: marshalPKCS8(t, k.rsa)}, strings.Split(marshalPKCS8(t, k.rsa), "\n")[3]},
		"the body of a retired key":         {Options{Algorithm: "ES256", SigningKey: marshalPKCS8(t, k.ec), VerifyingKeys: marshalPKCS8(t, k.rsa)}, pemBody(marshalPKCS8(t, k.rsa))},
		"REFRESH_KEY":                       {Options{SigningKey: secret, RefreshKeys: []string{oldSecret}}, hex.EncodeToString([]byte(oldSecret))},
	} {
		if newSigner(t, c.options).SecretSetting(c.text) == "" {
			t.Errorf("%s: the secret is not found", name)
		}
	}
	public := marshalPKIX(t, &newKeys(t).ec.PublicKey)
	if newSigner(t, Options{Algorithm: "ES256", SigningKey: marshalPKCS8(t, k.ec), VerifyingKeys: public}).SecretSetting(pemBody(public)) != "" {
		t.Error("a public key counts as a secret")
	}
	for _, refresh := range []string{secret + "\x00", base64.StdEncoding.EncodeToString([]byte(secret))} {
		if _, err := New(Options{SigningKey: secret, RefreshKeys: []string{refresh}}); err == nil || !strings.Contains(err.Error(), "REFRESH_KEY is also") {
			t.Errorf("REFRESH_KEY is another form of SIGNING_KEY: got %v", err)
		}
	}
}

// pemBytes returns what a PEM text encodes.
func pemBytes(text string) []byte {
	block, _ := pem.Decode([]byte(text))
	return block.Bytes
}

// pemBody returns the body of a PEM text in one line.
func pemBody(text string) string { return base64.StdEncoding.EncodeToString(pemBytes(text)) }

// escapeLineEnds returns a text with its line ends as in environment files.
func escapeLineEnds(text string) string { return strings.ReplaceAll(text, "\n", `\n`) }

// privateMember returns the member d of a private key's JWK.
func privateMember(t *testing.T, key any) string {
	t.Helper()
	var jwk struct{ D string }
	if err := json.Unmarshal([]byte(marshalJWK(t, key, nil)), &jwk); err != nil || jwk.D == "" {
		t.Fatalf("the JWK has no member d (%v)", err)
	}
	return jwk.D
}

// TestSecretSettingNames checks that a secret is found under the setting that holds it.
func TestSecretSettingNames(t *testing.T) {
	s := newSigner(t, Options{SigningKey: secret, VerifyingKeys: oldSecret, RefreshKeys: []string{"refresh-key-0123456789-0123456789-0123"}})
	for text, want := range map[string]string{
		secret: "SIGNING_KEY", oldSecret: "VERIFYING_KEYS", "refresh-key-0123456789-0123456789-0123": "REFRESH_KEY", "x": "",
	} {
		if got := s.SecretSetting(text); got != want {
			t.Errorf("%.12q: got %q, want %q", text, got, want)
		}
	}
}

// TestNewRejectsPublicKeysAsSecrets checks that a public key without the lines of PEM around
// it is no secret.
func TestNewRejectsPublicKeysAsSecrets(t *testing.T) {
	k := newKeys(t)
	for _, public := range []any{&k.rsa.PublicKey, &k.ec.PublicKey} {
		lines := strings.Split(strings.TrimSpace(marshalPKIX(t, public)), "\n")
		body := strings.Join(lines[1:len(lines)-1], "")
		checkOptionsErrors(t, []optionsError{{Options{SigningKey: body}, "SIGNING_KEY is a public key"}})
		checkOptionsErrors(t, []optionsError{{Options{SigningKey: secret, VerifyingKeys: body}, "VERIFYING_KEYS: key 1 is a public key"}})
		checkOptionsErrors(t, []optionsError{{Options{SigningKey: secret, RefreshKeys: []string{body}}, "REFRESH_KEY: secret 1 is a public key"}})
	}
	checkOptionsErrors(t, []optionsError{{Options{SigningKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0123456789012345678901234567890123456789"}, "SIGNING_KEY is a public key"}})
	checkOptionsErrors(t, []optionsError{{Options{SigningKey: strings.Repeat(" \t", 40)}, "SIGNING_KEY is white space only"}})
}

// TestWarningsKnowPairs checks that there is no warning about a public key whose private
// half is given as well.
func TestWarningsKnowPairs(t *testing.T) {
	k, old := newKeys(t), newKeys(t)
	o := Options{Algorithm: "ES256", SigningKey: marshalPKCS8(t, k.ec), VerifyingKeys: marshalPKIX(t, &k.ec.PublicKey)}
	if got := newSigner(t, o).Warnings(); len(got) != 0 {
		t.Errorf("got warnings %q, want none", got)
	}
	o.VerifyingKeys = marshalPKIX(t, &old.ec.PublicKey)
	if got := newSigner(t, o).Warnings(); len(got) != 1 {
		t.Errorf("got warnings %q, want one", got)
	}
}
