package api

import (
	"fmt"
	"io"
)

// Walkthrough prints commands that log in, refresh and list at a gateway that
// listens at address. It shows the secret and the password, so it is for ones
// that were made up for trying things out.
func Walkthrough(w io.Writer, address, secret, username, password string) {
	fmt.Fprintf(w, walkthrough, address, secret, username, password)
}

const walkthrough = `
tokengate is running with sessions in memory and the app "demo". Try it:

# log in
curl -s http://%[1]s/api/session/login/ -H 'Content-Type: application/json' \
  -d '{"username":"%[3]s","password":"%[4]s","secret_key":"%[2]s","session":"LONG","info":"my first device"}' | tee login.json

# refresh
curl -s http://%[1]s/api/session/refresh/ -H 'Content-Type: application/json' \
  -d '{"refresh":"'$(sed 's/.*"refresh":"\([^"]*\)".*/\1/' login.json)'","secret_key":"%[2]s","session":"LONG"}'

# list the user's sessions
curl -s http://%[1]s/api/session/list/ -H 'Content-Type: application/json' \
  -H "Authorization: Bearer $(sed 's/.*"access":"\([^"]*\)".*/\1/' login.json)" -d '{"session":"ALL"}'

`
