package wholetest

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

	"tokengate/deploy/rig"
	"tokengate/redisstore/redistest"
)

// TestDjangoAcceptsAccessTokens: an app on Django, Django REST framework and
// simplejwt, all of them Debian's and as they come, verifies by itself.
func TestDjangoAcceptsAccessTokens(t *testing.T) {
	private, public := rsaKeys(t)
	for _, c := range []struct {
		algorithm, signingKey string
		app                   []string // the app's settings
	}{
		{"HS256", rig.SigningKey, []string{"SIGNING_KEY=" + rig.SigningKey}},
		{"RS256", private, []string{"VERIFYING_KEY=" + public}},
	} {
		t.Run(c.algorithm, func(t *testing.T) {
			t.Parallel()
			g := rig.Start(t, redistest.Standalone(t).URL, rig.Settings{"APP_ALGORITHM": c.algorithm, "APP_SIGNING_KEY": c.signingKey})
			view := startDjango(t, append(c.app, "ALGORITHM="+c.algorithm)...)
			client := g.Client()
			login := want(t, http.StatusOK, client.Login(t.Context(), 0, "LONG", "phone"), "login")
			next := want(t, http.StatusOK, client.Refresh(t.Context(), "LONG", login.Refresh), "refresh")
			stranger := want(t, http.StatusOK, client.Login(t.Context(), 1, "LONG", "phone"), "login")
			for _, token := range []string{login.Access, next.Access} {
				if a := whoAmI(t, view, token); a.Status != http.StatusOK || string(a.Body) != `{"id":1,"username":"user0"}` {
					t.Errorf("an access token gets %d %s", a.Status, a.Body)
				}
			}
			for name, token := range map[string]string{
				"a tampered token":               tamper(login.Access),
				"a token without its signature":  login.Access[:strings.LastIndexByte(login.Access, '.')+1],
				"a refresh token":                login.Refresh,
				"a user whom the app lacks":      stranger.Access,
				"another user's claims, grafted": graft(login.Access, stranger.Access),
			} {
				if a := whoAmI(t, view, token); a.Status != http.StatusUnauthorized {
					t.Errorf("%s gets %d %s", name, a.Status, a.Body)
				}
			}
		})
	}
}

// rsaKeys gives a key pair as PEM.
func rsaKeys(t *testing.T) (private, public string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	pub, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub}))
}

// startDjango starts the app and gives its view's address.
func startDjango(t *testing.T, env ...string) string {
	t.Helper()
	const python = "/usr/bin/python3" // Debian's, which has Debian's packages
	cmd := exec.Command(python, "testdata/resource.py")
	cmd.Env = append(cmd.Environ(), append(env, "PYTHONDONTWRITEBYTECODE=1")...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	address, err := bufio.NewReader(stdout).ReadString('\n')
	t.Cleanup(func() { _ = stdin.Close(); _ = cmd.Wait() })
	if err != nil {
		_ = cmd.Wait()
		t.Fatalf("Django, Django REST framework and simplejwt are needed for this test: %s", complaints.String())
	}
	return strings.TrimSpace(address)
}

func whoAmI(t *testing.T, view, token string) rig.Answer {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, view, nil)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	a := rig.NewClient(view).Do(req)
	must(t, a.Err)
	return a
}

// tamper changes the middle of a token's signature.
func tamper(token string) string {
	i := (strings.LastIndexByte(token, '.') + len(token)) / 2
	other := byte('A')
	if token[i] == other {
		other = 'B'
	}
	return token[:i] + string(other) + token[i+1:]
}

// graft puts other's claims between token's header and signature.
func graft(token, other string) string {
	t, o := strings.Split(token, "."), strings.Split(other, ".")
	return t[0] + "." + o[1] + "." + t[2]
}
