package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"
)

// target is the app that virtual users log in to.
type target struct {
	address     string   // HOST:PORT
	from        net.Addr // the client's own address; nil means any
	app         string
	secret      string
	username    string // with %d for the number of the virtual user
	password    string
	sessionType string // LONG or SHORT
	info        string
	rotate      bool // whether the app's policy rotates refresh tokens
}

// virtualUser is a client with one connection and one session. It sends one
// request at a time with its newest tokens and checks each response.
type virtualUser struct {
	*target
	httpConn
	name                     string
	refreshed                time.Time
	refresh, access, session string
	generation               uint32
	buf                      []byte
}

// virtualUser returns the virtual user with the number i.
func (t *target) virtualUser(i int) *virtualUser {
	name := t.username
	if strings.Contains(name, "%d") {
		name = fmt.Sprintf(name, i)
	}
	return &virtualUser{target: t, httpConn: httpConn{address: t.address, from: t.from}, name: name}
}

// operation is one request and the check of its response.
type operation func(*virtualUser) error

// operations are the operations by name. A mix has the shares of a busy app: of a
// hundred requests 60 are verify, 34 refresh, 5 list and 1 is login.
var operations = map[string]operation{
	"login": (*virtualUser).doLogin, "refresh": (*virtualUser).doRefresh,
	"list": (*virtualUser).doList, "verify": (*virtualUser).doVerify, "mix": (*virtualUser).doMix,
}

func (u *virtualUser) doMix() error {
	switch n := rand.IntN(100); {
	case n < 60:
		return u.doVerify()
	case n < 94:
		return u.doRefresh()
	case n < 99:
		return u.doList()
	}
	return u.doLogin()
}

// tokens is the response of login and refresh.
type tokens struct {
	Refresh   string `json:"refresh"`
	Access    string `json:"access"`
	SessionID string `json:"session_id"`
	Code      string `json:"code"`
}

// post sends a JSON object. Its members are strings, given as alternating names and
// values.
func (u *virtualUser) post(path, bearer string, members ...string) (out tokens, err error) {
	b := append(u.buf[:0], '{')
	for i := 0; i < len(members); i += 2 {
		value, _ := json.Marshal(members[i+1]) // never fails for a string
		b = append(append(append(append(b, '"'), members[i]...), `":`...), value...)
		b = append(b, ',')
	}
	b[len(b)-1] = '}'
	u.buf = b
	status, body, err := u.do(http.MethodPost, path, bearer, b)
	if err != nil {
		return out, fmt.Errorf("no response: %w", err)
	}
	if len(body) == 0 || json.Unmarshal(body, &out) != nil {
		return out, fmt.Errorf("status %d, no JSON object", status)
	}
	switch {
	case status == http.StatusServiceUnavailable && out.Code == "busy":
		return out, errBusy
	case status != http.StatusOK:
		return out, fmt.Errorf("status %d %s", status, out.Code)
	}
	return out, nil
}

// errBusy is the gateway's response to a login that could not get a place in the
// hash queue in time. A load with many logins expects it.
var errBusy = errors.New("status 503 busy")

func (u *virtualUser) doLogin() error {
	out, err := u.post("/api/session/login/", "", "username", u.name, "password", u.password,
		"secret_key", u.secret, "session", u.sessionType, "info", u.info)
	if err != nil {
		return err
	}
	c := claimsOf(out.Refresh)
	switch {
	case out.Refresh == "" || out.Access == "" || out.SessionID == "":
		return fmt.Errorf("login: a token or the session ID is missing")
	case c.Session != out.SessionID || claimsOf(out.Access).Session != out.SessionID:
		return fmt.Errorf("login: the tokens name another session")
	case out.SessionID == u.session:
		return fmt.Errorf("login: the session ID is not new")
	}
	u.session, u.generation = out.SessionID, c.Generation
	u.setTokens(out)
	return nil
}

func (u *virtualUser) setTokens(t tokens) {
	u.access, u.refreshed = t.Access, time.Now()
	if t.Refresh != "" {
		u.refresh = t.Refresh
	}
}

func (u *virtualUser) doRefresh() error {
	out, err := u.post("/api/session/refresh/", "", "secret_key", u.secret, "session", u.sessionType, "refresh", u.refresh)
	if err != nil {
		return err
	}
	if out.Access == "" || out.Access == u.access || claimsOf(out.Access).Session != u.session {
		return fmt.Errorf("refresh: no new access token of the session")
	}
	if !u.rotate {
		if out.Refresh != "" {
			return fmt.Errorf("refresh: got a refresh token, although the policy does not rotate them")
		}
		u.setTokens(out)
		return nil
	}
	c := claimsOf(out.Refresh)
	if out.Refresh == u.refresh || c.Session != u.session || c.Generation != u.generation+1 {
		return fmt.Errorf("refresh: not the session's next refresh token")
	}
	u.generation = c.Generation
	u.setTokens(out)
	return nil
}

func (u *virtualUser) doList() error {
	status, body, err := u.do(http.MethodPost, "/api/session/list/", u.access, []byte(`{"session":"ALL"}`))
	if err != nil {
		return fmt.Errorf("no response: %w", err)
	}
	if status != http.StatusOK {
		return fmt.Errorf("status %d", status)
	}
	if !strings.Contains(string(body), u.session) {
		return fmt.Errorf("list: the caller's session is missing")
	}
	return nil
}

func (u *virtualUser) doVerify() error {
	status, _, err := u.do(http.MethodGet, "/apps/"+u.app+"/authz", u.access, nil)
	if err != nil {
		return fmt.Errorf("no response: %w", err)
	}
	if status != http.StatusOK {
		return fmt.Errorf("status %d", status)
	}
	return nil
}

// prepare makes sure that the user has tokens that last for a run: it logs in
// once, and refreshes if the tokens are older than a minute.
func (u *virtualUser) prepare() error {
	switch {
	case u.session == "":
		return u.doLogin()
	case time.Since(u.refreshed) > time.Minute:
		return u.doRefresh()
	}
	return nil
}

// sessionClaims are the claims of a token that are checked. The signature is not:
// if it were wrong, the next request with the token would fail.
type sessionClaims struct {
	Session    string `json:"sid"`
	Generation uint32 `json:"gen"`
}

// claimsOf returns the claims of a token. Claims that are missing or malformed are zero.
func claimsOf(token string) (c sessionClaims) {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err == nil {
		_ = json.Unmarshal(text, &c)
	}
	return c
}
