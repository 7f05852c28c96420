package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// target is the app that visitors log in to.
type target struct {
	address  string // HOST:PORT
	app      string
	secret   string
	username string // with %d for the visitor's number
	password string
	kind     string // LONG or SHORT
	info     string
	rotate   bool // whether the policy says that a refresh spends its token
}

// visitor is one client on one connection: logged in once, it uses its own
// newest tokens, one request at a time, and checks what it is answered.
type visitor struct {
	*target
	wire
	name                     string
	refreshed                time.Time
	refresh, access, session string
	generation               uint32
	buf                      []byte
}

func (t *target) visitor(i int) *visitor {
	name := t.username
	if strings.Contains(name, "%d") {
		name = fmt.Sprintf(name, i)
	}
	return &visitor{target: t, wire: wire{address: t.address}, name: name}
}

// operation is one request with its check.
type operation func(*visitor) error

// The operations by name. A mix is what a busy app does: of a hundred requests
// 60 verify, 34 refresh, 5 list and one logs in.
var operations = map[string]operation{
	"login": (*visitor).doLogin, "refresh": (*visitor).doRefresh,
	"list": (*visitor).doList, "verify": (*visitor).doVerify, "mix": (*visitor).doMix,
}

func (v *visitor) doMix() error {
	switch n := rand.IntN(100); {
	case n < 60:
		return v.doVerify()
	case n < 94:
		return v.doRefresh()
	case n < 99:
		return v.doList()
	}
	return v.doLogin()
}

// tokens is what login and refresh answer.
type tokens struct {
	Refresh   string `json:"refresh"`
	Access    string `json:"access"`
	SessionID string `json:"session_id"`
	Code      string `json:"code"`
}

// post sends an object of strings, given as names and values in turn.
func (v *visitor) post(path, bearer string, members ...string) (out tokens, err error) {
	b := append(v.buf[:0], '{')
	for i := 0; i < len(members); i += 2 {
		value, _ := json.Marshal(members[i+1]) // a string always marshals
		b = append(append(append(append(b, '"'), members[i]...), `":`...), value...)
		b = append(b, ',')
	}
	b[len(b)-1] = '}'
	v.buf = b
	status, body, err := v.do(http.MethodPost, path, bearer, b)
	if err != nil {
		return out, fmt.Errorf("no answer: %w", err)
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

// errBusy is the gateway's word for a login that waited too long for its turn:
// in a storm that is an answer like another.
var errBusy = errors.New("status 503 busy")

func (v *visitor) doLogin() error {
	out, err := v.post("/api/session/login/", "", "username", v.name, "password", v.password,
		"secret_key", v.secret, "session", v.kind, "info", v.info)
	if err != nil {
		return err
	}
	c := claimsOf(out.Refresh)
	switch {
	case out.Refresh == "" || out.Access == "" || out.SessionID == "":
		return fmt.Errorf("login: a token or the session's id is missing")
	case c.Session != out.SessionID || claimsOf(out.Access).Session != out.SessionID:
		return fmt.Errorf("login: the tokens name another session")
	case out.SessionID == v.session:
		return fmt.Errorf("login: the session's id is not new")
	}
	v.session, v.generation = out.SessionID, c.Generation
	v.keep(out)
	return nil
}

func (v *visitor) keep(out tokens) {
	v.access, v.refreshed = out.Access, time.Now()
	if out.Refresh != "" {
		v.refresh = out.Refresh
	}
}

func (v *visitor) doRefresh() error {
	out, err := v.post("/api/session/refresh/", "", "secret_key", v.secret, "session", v.kind, "refresh", v.refresh)
	if err != nil {
		return err
	}
	if out.Access == "" || out.Access == v.access || claimsOf(out.Access).Session != v.session {
		return fmt.Errorf("refresh: no new access token of the session")
	}
	if !v.rotate {
		if out.Refresh != "" {
			return fmt.Errorf("refresh: a refresh token that the policy doesn't provide for")
		}
		v.keep(out)
		return nil
	}
	c := claimsOf(out.Refresh)
	if out.Refresh == v.refresh || c.Session != v.session || c.Generation != v.generation+1 {
		return fmt.Errorf("refresh: not the session's next refresh token")
	}
	v.generation = c.Generation
	v.keep(out)
	return nil
}

func (v *visitor) doList() error {
	status, body, err := v.do(http.MethodPost, "/api/session/list/", v.access, []byte(`{"session":"ALL"}`))
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	if status != http.StatusOK {
		return fmt.Errorf("status %d", status)
	}
	if !strings.Contains(string(body), v.session) {
		return fmt.Errorf("list: the caller's session is not in it")
	}
	return nil
}

func (v *visitor) doVerify() error {
	status, _, err := v.do(http.MethodGet, "/apps/"+v.app+"/authz", v.access, nil)
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	if status != http.StatusOK {
		return fmt.Errorf("status %d", status)
	}
	return nil
}

// prepare gives the visitor tokens that last for a run.
func (v *visitor) prepare() error {
	switch {
	case v.session == "":
		return v.doLogin()
	case time.Since(v.refreshed) > time.Minute:
		return v.doRefresh()
	}
	return nil
}

// sessionClaims is what is looked at in a token, unverified: whether it is well
// signed is seen when it is used.
type sessionClaims struct {
	Session    string `json:"sid"`
	Generation uint32 `json:"gen"`
}

func claimsOf(token string) (c sessionClaims) {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err == nil {
		_ = json.Unmarshal(text, &c) // of something else, nothing matches
	}
	return c
}
