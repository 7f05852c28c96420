package e2e

import (
	"bufio"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// TestDjangoAcceptsAccessTokens checks that a resource app verifies access tokens by
// itself. It is made of Debian's Django, Django REST framework and simplejwt, without
// changes.
func TestDjangoAcceptsAccessTokens(t *testing.T) {
	private, public := newRSAKey(t)
	for _, c := range []struct {
		algorithm, signingKey string
		env                   []string // of the resource app
	}{
		{"HS256", gatewaytest.SigningKey, []string{"SIGNING_KEY=" + gatewaytest.SigningKey}},
		{"RS256", private, []string{"VERIFYING_KEY=" + public}},
	} {
		t.Run(c.algorithm, func(t *testing.T) {
			t.Parallel()
			g := gatewaytest.Start(t, redistest.Standalone(t).URL, gatewaytest.Settings{"APP_ALGORITHM": c.algorithm, "APP_SIGNING_KEY": c.signingKey})
			view := startDjango(t, append(c.env, "ALGORITHM="+c.algorithm)...)
			client := g.Client()
			login := requireStatus(t, http.StatusOK, client.Login(t.Context(), 0, "LONG", "phone"), "login")
			refreshed := requireStatus(t, http.StatusOK, client.Refresh(t.Context(), "LONG", login.Refresh), "refresh")
			other := requireStatus(t, http.StatusOK, client.Login(t.Context(), 1, "LONG", "phone"), "login of another user")
			for _, token := range []string{login.Access, refreshed.Access} {
				if resp := getView(t, view, token); resp.Status != http.StatusOK || string(resp.Body) != `{"id":1,"username":"user0"}` {
					t.Errorf("access token: got status %d, body %s; want 200 and user0", resp.Status, resp.Body)
				}
			}
			for name, token := range map[string]string{
				"tampered signature":      tamper(login.Access),
				"no signature":            login.Access[:strings.LastIndexByte(login.Access, '.')+1],
				"refresh token":           login.Refresh,
				"user unknown to the app": other.Access,
				"claims of another user":  withClaimsOf(login.Access, other.Access),
			} {
				if resp := getView(t, view, token); resp.Status != http.StatusUnauthorized {
					t.Errorf("%s: got status %d, body %s; want status 401", name, resp.Status, resp.Body)
				}
			}
		})
	}
}

// newRSAKey returns a new key pair as PEM.
func newRSAKey(t *testing.T) (private, public string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	privateDER, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	publicDER, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: privateDER})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER}))
}

// startDjango starts the resource app and returns the URL of its view.
func startDjango(t *testing.T, env ...string) string {
	t.Helper()
	const python = "/usr/bin/python3" // Debian's Python, which finds Debian's packages
	cmd := exec.Command(python, "testdata/resource.py")
	cmd.Env = append(cmd.Environ(), append(env, "PYTHONDONTWRITEBYTECODE=1")...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	url, err := bufio.NewReader(stdout).ReadString('\n')
	t.Cleanup(func() { _ = stdin.Close(); _ = cmd.Wait() })
	if err != nil {
		_ = cmd.Wait()
		t.Fatalf("this test needs Django, Django REST framework and simplejwt: %s", stderr.String())
	}
	return strings.TrimSpace(url)
}

// getView sends an access token to the resource app.
func getView(t *testing.T, view, token string) gatewaytest.Response {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, view, nil)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	resp := gatewaytest.NewClient(view).Do(req)
	must(t, resp.Err)
	return resp
}

// tamper changes a character in the middle of a token's signature.
func tamper(token string) string {
	i := (strings.LastIndexByte(token, '.') + len(token)) / 2
	other := byte('A')
	if token[i] == other {
		other = 'B'
	}
	return token[:i] + string(other) + token[i+1:]
}

// withClaimsOf returns token with the claims of other, but with its own header and
// signature.
func withClaimsOf(token, other string) string {
	t, o := strings.Split(token, "."), strings.Split(other, ".")
	return t[0] + "." + o[1] + "." + t[2]
}
