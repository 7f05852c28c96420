package samples

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"tokengate/deploy/test/gatewaytest"
)

// issuer is a gateway whose tokens a sample verifies. All its keys are known to the test.
type issuer struct {
	*gatewaytest.Gateway
	algorithm  jwa.SignatureAlgorithm
	signingKey string // value of SIGNING_KEY
	signer     any    // the same key, for jwx
	public     []byte // public key as PEM; nil for HS256
	settings   gatewaytest.Settings
}

// newIssuer starts a gateway that signs with an algorithm: HS256, RS256 or EdDSA.
func newIssuer(t *testing.T, algorithm string) *issuer {
	t.Helper()
	known, _ := jwa.LookupSignatureAlgorithm(algorithm)
	i := &issuer{algorithm: known, signingKey: gatewaytest.SigningKey, signer: []byte(gatewaytest.SigningKey)}
	if algorithm != "HS256" {
		i.newKeyPair(t, algorithm)
	}
	i.settings = gatewaytest.Settings{"APP_ALGORITHM": algorithm, "APP_SIGNING_KEY": i.signingKey}
	i.Gateway = gatewaytest.Start(t, "", i.settings)
	return i
}

func (i *issuer) newKeyPair(t *testing.T, algorithm string) {
	t.Helper()
	var private, public any
	var err error
	if algorithm == "RS256" {
		var key *rsa.PrivateKey
		key, err = rsa.GenerateKey(rand.Reader, 2048)
		must(t, err)
		private, public = key, &key.PublicKey
	} else {
		public, private, err = ed25519.GenerateKey(rand.Reader)
		must(t, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	publicDER, err := x509.MarshalPKIXPublicKey(public)
	must(t, err)
	i.signingKey = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	i.public = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER})
	key, err := jwk.Import(private)
	must(t, err)
	must(t, jwk.AssignKeyID(key))
	i.signer = key
}

// presented is a token, and whether a verifier must accept it.
type presented struct {
	name, token string
	accepted    bool
}

// presentedTokens returns the tokens that every verifying sample is given: the gateway's
// own, damaged ones, and forgeries.
func (i *issuer) presentedTokens(t *testing.T) []presented {
	t.Helper()
	login := i.login(t, i.Gateway)
	refreshed := i.Client().Refresh(t.Context(), "LONG", login.Refresh)
	if refreshed.Status != http.StatusOK || refreshed.Refresh == "" {
		t.Fatalf("refresh: got status %d, body %s; want new tokens", refreshed.Status, refreshed.Body)
	}
	short := gatewaytest.Settings{"APP_ACCESS_TOKEN_LIFETIME": "1s"}
	for name, value := range i.settings {
		short[name] = value
	}
	expired := i.login(t, gatewaytest.Start(t, "", short)).Access
	time.Sleep(2100 * time.Millisecond)
	last := strings.LastIndexByte(login.Access, '.')
	tampered := login.Access[:last+2] + string('A'+(login.Access[last+2]-'A'+1)%26) + login.Access[last+3:]
	all := []presented{
		{"access token of the login", login.Access, true},
		{"access token of the refresh", refreshed.Access, true},
		{"refresh token", refreshed.Refresh, false},
		{"expired access token", expired, false},
		{"access token of another app", i.otherApp(t), false},
		{"tampered signature", tampered, false},
		{"no signature", login.Access[:last+1], false},
		{"no algorithm", "eyJhbGciOiJub25lIn0" + login.Access[strings.IndexByte(login.Access, '.'):last+1], false},
		{"refresh token signed with the app's key", i.sign(t, i.algorithm, i.signer, "refresh"), false},
		{"no token type", i.sign(t, i.algorithm, i.signer, ""), false},
	}
	if i.public != nil {
		all = append(all, presented{"signed with the public key as a secret", i.sign(t, jwa.HS256(), i.public, "access"), false})
	}
	for _, garbage := range []string{"", "abc", ".", "..", "a.b.c", strings.ReplaceAll(login.Access, ".", ""), "\x00", "é", "null"} {
		all = append(all, presented{"garbage " + garbage, garbage, false})
	}
	return all
}

func (i *issuer) login(t *testing.T, g *gatewaytest.Gateway) gatewaytest.Response {
	t.Helper()
	login := g.Client().Login(t.Context(), 0, "LONG", "phone")
	if login.Status != http.StatusOK {
		t.Fatalf("login: got status %d, body %s; want 200", login.Status, login.Body)
	}
	return login
}

// otherApp returns an access token of another app with the same algorithm.
func (i *issuer) otherApp(t *testing.T) string {
	t.Helper()
	other := &issuer{signingKey: strings.ToUpper(gatewaytest.SigningKey)}
	if i.public != nil {
		other.newKeyPair(t, i.algorithm.String())
	}
	return i.login(t, gatewaytest.Start(t, "", gatewaytest.Settings{
		"APPS": "blog", "APP_ALGORITHM": i.algorithm.String(), "APP_SIGNING_KEY": other.signingKey,
	})).Access
}

// sign returns a token that no gateway has issued.
func (i *issuer) sign(t *testing.T, algorithm jwa.SignatureAlgorithm, key any, tokenType string) string {
	t.Helper()
	now := time.Now()
	token := jwt.New()
	must(t, token.Set("user_id", 1))
	must(t, token.Set(jwt.IssuedAtKey, now.Unix()))
	must(t, token.Set(jwt.ExpirationKey, now.Add(time.Minute).Unix()))
	must(t, token.Set(jwt.JwtIDKey, strings.Repeat("0123456789abcdef", 2)))
	if tokenType != "" {
		must(t, token.Set("token_type", tokenType))
	}
	signed, err := jwt.Sign(token, jwt.WithKey(algorithm, key))
	must(t, err)
	return string(signed)
}

// input returns the tokens as JSON strings, one a line.
func input(tokens []presented) string {
	var b strings.Builder
	for _, p := range tokens {
		line, _ := json.Marshal(p.token) // never fails for a string
		b.Write(append(line, '\n'))
	}
	return b.String()
}

// checkVerdicts compares a sample's verdicts, a line for each token, with what is wanted.
func checkVerdicts(t *testing.T, b block, tokens []presented, output string) {
	t.Helper()
	verdicts := strings.Fields(output)
	if len(verdicts) != len(tokens) {
		t.Fatalf("%s: got %d verdicts for %d tokens:\n%s", b, len(verdicts), len(tokens), output)
	}
	for n, p := range tokens {
		if got := verdicts[n] == "accepted"; got != p.accepted {
			t.Errorf("%s: %s is %s, want accepted: %t", b, p.name, verdicts[n], p.accepted)
		}
	}
}
