package credential

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"tokengate/session"
)

// maxAnswer bounds what an upstream may answer, in bytes.
const maxAnswer = 64 << 10

// upstream is another program that checks passwords, over HTTP.
type upstream struct {
	url     string // without user and password
	user    *url.Userinfo
	client  *http.Client
	timeout time.Duration
}

func openUpstream(spec string, o Options) (*Source, error) {
	u, err := url.Parse(spec)
	if err != nil || u.Host == "" {
		return nil, errors.New("USERS is not an http(s) URL: give https://host/path, with special characters in user and password percent-encoded")
	}
	up := &upstream{user: u.User, client: upstreamClient(o.HTTP), timeout: o.Timeout}
	u.User = nil
	up.url = u.String()
	s := o.source(up)
	s.reach = up.reach
	s.close = up.client.CloseIdleConnections
	return s, nil
}

// upstreamClient follows no redirect: the password is for the address that the
// operator gave and for no other.
func upstreamClient(given *http.Client) *http.Client {
	client := http.Client{}
	if given != nil {
		client = *given
	}
	if client.Transport == nil {
		t, _ := http.DefaultTransport.(*http.Transport)
		t = t.Clone()
		t.MaxIdleConnsPerHost = 64 // there is one host; the default of 2 would dial anew in every rush
		client.Transport = t
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// Check asks for each form of the password: what it hashes, if at all, is the
// upstream's affair. The price is that a wrong password with outer space counts
// twice with an upstream that counts failures.
func (u *upstream) Check(ctx context.Context, username, password string) (session.User, error) {
	err := error(errRefused)
	for _, form := range forms(password) {
		var user session.User
		user, err = u.ask(ctx, username, form)
		if session.CodeOf(err) != session.InvalidCredentials {
			return user, err
		}
	}
	return session.User{}, err
}

// Recheck can't be asked without a password.
func (u *upstream) Recheck(context.Context, session.UserID) error { return nil }

// reach takes any answer for a sign of life: without a password there is
// nothing to ask.
func (u *upstream) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, u.timeout)
	defer cancel()
	req, err := u.request(ctx, http.MethodHead, nil)
	if err != nil {
		return unavailable(err)
	}
	res, err := u.client.Do(req)
	if err != nil {
		return unavailable(err)
	}
	return res.Body.Close()
}

func (u *upstream) ask(ctx context.Context, username, password string) (session.User, error) {
	ctx, cancel := context.WithTimeout(ctx, u.timeout)
	defer cancel()
	question, err := json.Marshal(struct {
		Username string `json:"username"`
		Password string `json:"password"` //nolint:gosec // this is what the upstream is for
	}{username, password})
	if err != nil {
		return session.User{}, unavailable(err)
	}
	req, err := u.request(ctx, http.MethodPost, question)
	if err != nil {
		return session.User{}, unavailable(err)
	}
	res, err := u.client.Do(req)
	if err != nil {
		return session.User{}, unavailable(err)
	}
	defer func() { _ = res.Body.Close() }()
	return readAnswer(res)
}

func (u *upstream) request(ctx context.Context, method string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "tokengate")
	// Empty, it is not sent, and lets net/http ask again on a fresh connection
	// where the upstream had just closed an idle one.
	req.Header["Idempotency-Key"] = nil
	if u.user != nil {
		password, _ := u.user.Password()
		req.SetBasicAuth(u.user.Username(), password)
	}
	return req, nil
}

// readAnswer reads yes, {"user_id": …, "claims": {…}}, and no. It reads to the
// end, so that the connection can be used again.
func readAnswer(res *http.Response) (session.User, error) {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return session.User{}, errRefused
	default:
		return session.User{}, unavailable(fmt.Errorf("status %d", res.StatusCode))
	}
	if err != nil {
		return session.User{}, unavailable(err)
	}
	if len(body) > maxAnswer {
		return session.User{}, unavailable(fmt.Errorf("an answer of more than %d bytes", maxAnswer))
	}
	user, err := parseAnswer(body)
	if err != nil {
		return session.User{}, unavailable(err)
	}
	return user, nil
}

// parseAnswer reads a yes. One that names nobody is no answer: to take it for a
// no would lock users out by a defect of the upstream.
func parseAnswer(body []byte) (user session.User, err error) {
	var answer struct {
		ID     json.RawMessage `json:"user_id"`
		Claims json.RawMessage `json:"claims"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return user, errors.New("the answer is not a JSON object")
	}
	if user.ID, err = session.ParseUserID(answer.ID); err != nil {
		return user, fmt.Errorf("user_id: %w", err)
	}
	user.Claims, err = readClaims(user.ID, answer.Claims)
	return user, err
}

// unavailable says that a source could not answer, and why. The address that
// net/http puts into its errors is left out: a part of it may be secret.
func unavailable(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return session.Fail(session.Unavailable, fmt.Errorf("the user source: %w", err))
}
