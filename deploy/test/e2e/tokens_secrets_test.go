package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// tryServe starts the gateway and stops it again as soon as it is ready or has exited. It
// returns everything that was printed.
func (e commandEnv) tryServe(t *testing.T) (ready bool, output string) {
	t.Helper()
	listen, admin := freeport.Address(t), freeport.Address(t)
	cmd := exec.Command(gatewaytest.Binary(t), "serve")
	var printed bytes.Buffer
	cmd.Env = e.with("TOKENGATE_LISTEN="+listen, "TOKENGATE_ADMIN_LISTEN="+admin)
	cmd.Stdout, cmd.Stderr = &printed, &printed
	must(t, cmd.Start())
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	client := &http.Client{Timeout: time.Second}
	poll(t, "the gateway is ready or has exited", func() bool {
		select {
		case <-exited:
			return true
		default:
		}
		resp, err := client.Get("http://" + admin + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		ready = resp.StatusCode == http.StatusOK
		return ready
	})
	_ = cmd.Process.Kill()
	<-exited
	return ready, printed.String()
}

// mailPrefix is the prefix of the settings of a second app.
const mailPrefix = "TOKENGATE_APP_MAIL_"

// newTwoAppsEnv returns an environment with a second app and more settings.
func newTwoAppsEnv(redisURL string, settings ...string) commandEnv {
	return newCommandEnv(redisURL, "TOKENGATE_APPS="+gatewaytest.App+",mail", mailPrefix+"USERS=redis:",
		mailPrefix+"SECRET_KEY=mail-secret-0123456789abcdef", mailPrefix+"SIGNING_KEY=mail-"+gatewaytest.SigningKey).with(settings...)
}

// TestT1SecretsAreToldApart checks that neither start nor check accepts a secret that has two
// jobs, that the error names the settings, and that it does not print the secret.
func TestT1SecretsAreToldApart(t *testing.T) {
	t.Parallel()
	const shared = "shared-value-0123456789abcdef0123456789abcdef0123456789abcdef" // long enough for each job
	file := writeFile(t, "secret", []byte(shared+"\n"))
	server := redistest.Standalone(t)
	checkRejected(t, server.URL, map[string]rejected{
		"app's secret is the signing key":          {[]string{appPrefix + "SECRET_KEY=" + shared, appPrefix + "SIGNING_KEY=" + shared}, "SHOP"},
		"one of the app's secrets is":              {[]string{appPrefix + "SECRET_KEY=" + gatewaytest.Secret + "," + shared, appPrefix + "SIGNING_KEY=" + shared}, "SHOP"},
		"app's secret from a file is":              {[]string{appPrefix + "SECRET_KEY_FILE=" + file, appPrefix + "SIGNING_KEY=" + shared}, "SHOP"},
		"app's secret is a retired key":            {[]string{appPrefix + "SECRET_KEY=" + shared, appPrefix + "VERIFYING_KEYS=" + shared}, "SHOP"},
		"app's secret is one of two retired":       {[]string{appPrefix + "SECRET_KEY=" + shared, appPrefix + "VERIFYING_KEYS=" + longKey + "," + shared}, "SHOP"},
		"app's secret is the refresh key":          {[]string{appPrefix + "SECRET_KEY=" + shared, appPrefix + "REFRESH_KEY=" + shared}, "SHOP"},
		"app's secret is the admin token":          {[]string{appPrefix + "SECRET_KEY=" + shared, "TOKENGATE_ADMIN_TOKEN=" + shared}, "SHOP"},
		"admin token is the signing key":           {[]string{appPrefix + "SIGNING_KEY=" + shared, "TOKENGATE_ADMIN_TOKEN=" + shared}, "SHOP"},
		"refresh key is the signing key":           {[]string{appPrefix + "REFRESH_KEY=" + shared, appPrefix + "SIGNING_KEY=" + shared}, "SHOP"},
		"app's secret is another app's secret":     {[]string{appPrefix + "SECRET_KEY=" + shared, mailPrefix + "SECRET_KEY=" + shared}, "MAIL SHOP"},
		"app's secret is another app's key":        {[]string{appPrefix + "SECRET_KEY=" + shared, mailPrefix + "SIGNING_KEY=" + shared}, "MAIL SHOP"},
		"app's key is another app's secret":        {[]string{appPrefix + "SIGNING_KEY=" + shared, mailPrefix + "SECRET_KEY=" + shared}, "MAIL SHOP"},
		"app's secret is another app's old key":    {[]string{appPrefix + "SECRET_KEY=" + shared, mailPrefix + "VERIFYING_KEYS=" + shared}, "MAIL SHOP"},
		"app's secret is another's refresh key":    {[]string{appPrefix + "SECRET_KEY=" + shared, mailPrefix + "REFRESH_KEY=" + shared}, "MAIL SHOP"},
		"refresh key is another app's refresh key": {[]string{appPrefix + "REFRESH_KEY=" + shared, mailPrefix + "REFRESH_KEY=" + shared}, "MAIL SHOP"},
		"refresh key is another app's signing key": {[]string{appPrefix + "REFRESH_KEY=" + shared, mailPrefix + "SIGNING_KEY=" + shared}, "MAIL SHOP"},
		"signing key is another app's":             {[]string{appPrefix + "SIGNING_KEY=" + shared, mailPrefix + "SIGNING_KEY=" + shared}, "MAIL SHOP"},
		"key of one character":                     {[]string{appPrefix + "SIGNING_KEY=" + strings.Repeat("a", 64)}, "SHOP"},
		"key of one character, HS512":              {[]string{appPrefix + "ALGORITHM=HS512", appPrefix + "SIGNING_KEY=" + strings.Repeat("0", 128)}, "SHOP"},
	})
}

// TestT1FormsOfSecrets checks the same for secrets that are another one in another form.
func TestT1FormsOfSecrets(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	pair := privatePEM(t, key)
	pairFile, oneLine := writeFile(t, "pair", []byte(pair)), strings.ReplaceAll(pair, "\n", `\n`)
	_, body, _ := strings.Cut(strings.TrimSpace(pair), "-----\n")
	body, _, _ = strings.Cut(body, "\n-----")
	server := redistest.Standalone(t)
	const shared = "shared-value-0123456789abcdef0123456789abcdef0123456789abcdef"
	es256, users := appPrefix+"ALGORITHM=ES256", "http://gate:"+shared+"@users.example.com/"
	encoded, digits := base64.StdEncoding.EncodeToString([]byte(shared)), hex.EncodeToString([]byte(shared))
	checkRejected(t, server.URL, map[string]rejected{
		"app's secret is a private key's file":     {[]string{appPrefix + "SECRET_KEY_FILE=" + pairFile}, "SHOP"},
		"app's secret is a private key's text":     {[]string{appPrefix + "SECRET_KEY=" + oneLine}, "SHOP"},
		"app's secret is the private key's body":   {[]string{es256, appPrefix + "SECRET_KEY=" + body, appPrefix + "SIGNING_KEY=" + oneLine}, "SHOP"},
		"refresh key is the private key's body":    {[]string{es256, appPrefix + "REFRESH_KEY=" + body, appPrefix + "SIGNING_KEY=" + pair}, "SHOP"},
		"admin token is the private key's body":    {[]string{es256, "TOKENGATE_ADMIN_TOKEN=" + body, appPrefix + "SIGNING_KEY=" + pair}, "SHOP"},
		"app's secret is the admin token's base64": {[]string{appPrefix + "SECRET_KEY=" + encoded, "TOKENGATE_ADMIN_TOKEN=" + shared}, "SHOP"},
		"admin token is the app's secret's digits": {[]string{appPrefix + "SECRET_KEY=" + shared, "TOKENGATE_ADMIN_TOKEN=" + digits}, "SHOP"},
		"app's secret is another's base64":         {[]string{appPrefix + "SECRET_KEY=" + encoded, mailPrefix + "SECRET_KEY=" + shared}, "MAIL SHOP"},
		"app's secret is a user source's password": {[]string{appPrefix + "SECRET_KEY=" + shared, appPrefix + "USERS=" + users}, "SHOP"},
		"app's secret is another source's":         {[]string{appPrefix + "SECRET_KEY=" + shared, mailPrefix + "USERS=" + users}, "MAIL SHOP"},
	})
}

// rejected are settings that are rejected, and words in the error besides their names.
type rejected struct {
	settings []string
	names    string
}

// checkRejected checks that start and check reject settings.
func checkRejected(t *testing.T, redisURL string, cases map[string]rejected) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := newCommandEnv(redisURL, c.settings...)
			if strings.Contains(c.names, "MAIL") {
				env = newTwoAppsEnv(redisURL, c.settings...)
			}
			words := strings.Fields(c.names)
			for _, setting := range c.settings {
				variable, _, _ := strings.Cut(setting, "=")
				if other, isFile := strings.CutSuffix(variable, "_FILE"); isFile {
					env = slices.DeleteFunc(env, func(line string) bool { return strings.HasPrefix(line, other+"=") })
				}
				name := regexp.MustCompile(`^TOKENGATE_(APP_(SHOP|MAIL)_)?|_FILE$`).ReplaceAllString(variable, "")
				if name != "ALGORITHM" {
					words = append(words, name)
				}
			}
			code, checked := env.run(t, "", "check")
			ready, served := env.tryServe(t)
			if code == 0 || ready {
				t.Fatalf("check: got exit code %d; serve: the gateway has started: %v; want two errors", code, ready)
			}
			checkErrorNames(t, "check", checked, words)
			checkErrorNames(t, "serve", served, words)
		})
	}
}

// checkErrorNames checks that an error has the words, and that it contains no secret.
func checkErrorNames(t *testing.T, step, output string, words []string) {
	t.Helper()
	if strings.Contains(output, "unknown setting") {
		t.Fatalf("%s: %s", step, output)
	}
	for _, word := range words {
		if !strings.Contains(strings.ToUpper(output), word) {
			t.Errorf("%s: got the output %q, want %s in it", step, output, word)
		}
	}
	for _, secret := range []string{"shared-value", "aaaaaaaa", "00000000", gatewaytest.Secret, gatewaytest.SigningKey, longKey} {
		if strings.Contains(output, secret) {
			t.Errorf("%s: the output %q contains a secret", step, output)
		}
	}
}

// TestT1AcceptedSecrets checks that secrets with one job each are accepted, and that start and
// check warn of a short app's secret.
func TestT1AcceptedSecrets(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	sameKey := []string{appPrefix + "SIGNING_KEY=" + longKey, mailPrefix + "SIGNING_KEY=" + longKey}
	short := regexp.MustCompile(`(?i)(?m)^.*warn.*SECRET_KEY.*$|^.*SECRET_KEY.*(short|16 bytes).*$`)
	for name, c := range map[string]struct {
		env  commandEnv
		warn bool
	}{
		"different secrets":            {newTwoAppsEnv(server.URL, "TOKENGATE_ADMIN_TOKEN="+adminToken), false},
		"refresh keys":                 {newTwoAppsEnv(server.URL, appPrefix+"REFRESH_KEY=refresh-"+longKey, mailPrefix+"REFRESH_KEY=mail-refresh-"+longKey), false},
		"same key, different issuer":   {newTwoAppsEnv(server.URL, append(sameKey, appPrefix+"ISSUER=https://shop.example.com", mailPrefix+"ISSUER=https://mail.example.com")...), false},
		"same key, different audience": {newTwoAppsEnv(server.URL, append(sameKey, appPrefix+"AUDIENCE=shop", mailPrefix+"AUDIENCE=mail")...), false},
		"secret of 1 byte":             {newCommandEnv(server.URL, appPrefix+"SECRET_KEY=a"), true},
		"secret of 15 bytes":           {newCommandEnv(server.URL, appPrefix+"SECRET_KEY=0123456789abcde"), true},
		"second secret of 15 bytes":    {newCommandEnv(server.URL, appPrefix+"SECRET_KEY="+gatewaytest.Secret+",0123456789abcde"), true},
		"secret of 16 bytes":           {newCommandEnv(server.URL, appPrefix+"SECRET_KEY=0123456789abcdef"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, checked := c.env.run(t, "", "check")
			if code != 0 {
				t.Errorf("check: got exit code %d, output %s; want 0", code, checked)
			}
			ready, served := c.env.tryServe(t)
			if !ready {
				t.Errorf("serve: the gateway has not started: %s", served)
			}
			for step, output := range map[string]string{"check": checked, "serve": served} {
				if warned := short.MatchString(output); warned != c.warn {
					t.Errorf("%s: got the output %q, want a warning of a short secret: %v", step, output, c.warn)
				}
				if strings.Contains(output, "0123456789abcde") {
					t.Errorf("%s: the output %q contains a secret", step, output)
				}
			}
		})
	}
}
