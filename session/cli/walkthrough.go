package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"tokengate/session/config"
)

// PrintWalkthrough prints commands that log in, refresh and list sessions at a gateway
// that listens at address, HOST:PORT or unix:/PATH, with or without TLS. The commands contain the secret and the password that were
// generated for the demo app. If a setting replaced one of them, the text says what to
// fill in. Without a demo app, or if both were replaced, it prints nothing.
func PrintWalkthrough(w io.Writer, address string, secure bool, demo *config.Demo) {
	secret, username, password := demo.Generated()
	try := "Try it:"
	switch {
	case secret == "" && username == "":
		return
	case secret == "":
		try = "Try it, with your own\nTOKENGATE_APP_DEMO_SECRET_KEY where it says YOUR_SECRET_KEY; the user is generated:"
	case username == "":
		try = "Try it, with a user of your own\nTOKENGATE_APP_DEMO_USERS where it says YOUR_USERNAME and YOUR_PASSWORD; the secret_key is generated:"
	}
	fmt.Fprintf(w, walkthrough, curlTarget(address, secure), cmp.Or(secret, "YOUR_SECRET_KEY"),
		cmp.Or(username, "YOUR_USERNAME"), cmp.Or(password, "YOUR_PASSWORD"), try)
}

// curlTarget returns curl's arguments for a gateway: options and the beginning of the URL,
// with an open quotation mark.
func curlTarget(address string, secure bool) string {
	options, scheme := "", "http"
	if secure {
		options, scheme = "-k ", "https" // the certificate has the public name, and seldom this address
	}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		options += "--unix-socket '" + strings.ReplaceAll(path, "'", `'\''`) + "' "
		address = "localhost"
	}
	return options + "'" + scheme + "://" + address
}

// walkthrough keeps the answers with tokens in a shell variable. Each command takes the last
// token in it, so that the refresh command can be run again at any time: an error has no
// token, and sed's first ".*" skips the older ones. An interactive zsh runs comments as
// commands, so they have no characters that mean something to it.
const walkthrough = `
tokengate is running with sessions in memory and the app "demo". %[5]s

# log in
tokens=$(curl -s %[1]s/api/session/login/' -H 'Content-Type: application/json' \
  -d '{"username":"%[3]s","password":"%[4]s","secret_key":"%[2]s","session":"LONG","info":"my first device"}'); echo "$tokens"

# refresh, as often as you like
answer=$(curl -s %[1]s/api/session/refresh/' -H 'Content-Type: application/json' \
  -d '{"refresh":"'"$(echo "$tokens" | sed -n 's/.*"refresh":"\([^"]*\)".*/\1/p')"'","secret_key":"%[2]s","session":"LONG"}'); tokens="$tokens$answer"; echo "$answer"

# list the sessions
curl -s %[1]s/api/session/list/' -H 'Content-Type: application/json' \
  -H "Authorization: Bearer $(echo "$tokens" | sed -n 's/.*"access":"\([^"]*\)".*/\1/p')" -d '{"session":"ALL"}'

`
