package users

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"tokengate/session"
	"tokengate/session/fairqueue"
	"tokengate/session/password"
)

// maxResponse is the maximum size of a response, in bytes.
const maxResponse = 64 << 10

// httpSource is another program that checks passwords over HTTP. It implements
// [session.Checker].
type httpSource struct {
	app     string
	url     string // without user and password
	user    *url.Userinfo
	client  *http.Client
	timeout time.Duration
	logins  *fairqueue.Queue // a slot is the right to send requests, one at a time
}

// maxUpstream is how many logins a source asks the other program about at once. Usual programs
// serve fewer requests at a time, and slow ones must not use up the file descriptors of the
// gateway, which may be limited to 1024. Further logins wait in turns.
const maxUpstream = 64

func openHTTP(spec string, o Options) (*Source, error) {
	u, err := url.Parse(spec)
	if err != nil || u.Host == "" {
		return nil, errors.New("USERS is not a valid http(s) URL: give https://host/path, with special characters in user and password percent-encoded")
	}
	h := &httpSource{
		app: o.App, user: u.User, client: httpClient(o.HTTP), timeout: o.Timeout,
		logins: fairqueue.New(fairqueue.Options{Slots: maxUpstream, Reason: "too many logins wait for the user source"}),
	}
	u.User = nil
	h.url = u.String()
	s := o.newSource(h)
	s.ping = h.ping
	s.close = h.client.CloseIdleConnections
	return s, nil
}

// httpClient returns a copy of given, or a new client, that follows no redirects: the
// password may be sent only to the address that the operator has set.
func httpClient(given *http.Client) *http.Client {
	client := http.Client{}
	if given != nil {
		client = *given
	}
	if client.Transport == nil {
		t, _ := http.DefaultTransport.(*http.Transport)
		t = t.Clone()
		t.MaxIdleConnsPerHost = maxUpstream // there is one host; with the default of 2, each burst of logins would open new connections
		t.MaxConnsPerHost = maxUpstream + 1 // one is for ping. A request that gets an idle connection may leave behind another one that is being opened
		client.Transport = t
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// Check implements [session.Checker]. It sends one request for each form of the password,
// since it is the other program that hashes. The price is that a wrong password with
// outer white space counts as two failures there, if the program counts failures.
//
// The requests go on when the client disconnects: otherwise a guess would not be counted
// although the other program has compared it.
func (h *httpSource) Check(ctx context.Context, presented session.Credentials, found func(session.Found) error) (session.User, error) {
	if len(presented.Username) > maxUsername {
		return session.User{}, refuseLongUsername(found)
	}
	_, place, err := h.logins.Enter(ctx, clientOf(h.app, presented), sizeOf(presented))
	if err != nil {
		return session.User{}, err
	}
	defer place.Leave()
	if err := found(session.Found{}); err != nil {
		return session.User{}, err
	}
	if err := place.Wait(ctx, 1); err != nil {
		return session.User{}, err
	}
	for i, form := range password.Forms(presented.Password) {
		user, err := h.check(context.WithoutCancel(ctx), presented.Username, form)
		if code := session.CodeOf(err); code == session.InvalidCredentials {
			continue
		}
		if e, failed := errors.AsType[*session.Error](err); failed && i > 0 {
			e.Compared = true // the form before
		}
		return user, err
	}
	return session.User{}, errInvalidCredentials
}

// Recheck implements [session.Checker]. It does nothing: the other program can't be asked
// without a password.
func (h *httpSource) Recheck(context.Context, session.UserID, bool) (session.Status, error) {
	return session.Status{}, nil
}

// ping sends a HEAD request and accepts any response, since without a password there is
// nothing to ask.
func (h *httpSource) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	req, err := h.request(ctx, http.MethodHead, nil)
	if err != nil {
		return unavailable(err)
	}
	res, err := h.client.Do(req)
	if err != nil {
		return unavailable(err)
	}
	return res.Body.Close()
}

// check sends one username and password.
func (h *httpSource) check(ctx context.Context, username, pw string) (session.User, error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	body, err := json.Marshal(struct {
		Username string `json:"username"`
		Password string `json:"password"`
	}{username, pw})
	if err != nil {
		return session.User{}, unavailable(err)
	}
	req, err := h.request(ctx, http.MethodPost, body)
	if err != nil {
		return session.User{}, unavailable(err)
	}
	res, err := h.client.Do(req)
	if err != nil {
		return session.User{}, unavailable(err)
	}
	defer func() { _ = res.Body.Close() }()
	return h.readResponse(res)
}

func (h *httpSource) request(ctx context.Context, method string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, h.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "tokengate")
	// net/http does not send an empty Idempotency-Key, but because of it repeats the
	// request on a new connection if the server has just closed an idle one.
	req.Header["Idempotency-Key"] = nil
	if h.user != nil {
		password, _ := h.user.Password()
		req.SetBasicAuth(h.user.Username(), password)
	}
	return req, nil
}

// readResponse returns the user of a successful response, {"user_id": …, "claims": {…},
// "credential": …}, or errInvalidCredentials for a refusal. It reads the body to its end,
// so that the connection can be used again.
func (h *httpSource) readResponse(res *http.Response) (session.User, error) {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxResponse+1))
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return session.User{}, errInvalidCredentials
	case http.StatusTooManyRequests:
		return session.User{}, &session.Error{Code: session.Throttled, Err: errThrottled, RetryAfter: retryAfter(res.Header, time.Now())}
	default:
		return session.User{}, unavailable(fmt.Errorf("unexpected status %d", res.StatusCode))
	}
	if err != nil {
		return session.User{}, unavailable(err)
	}
	if len(body) > maxResponse {
		return session.User{}, unavailable(fmt.Errorf("the response is longer than %d bytes", maxResponse))
	}
	user, err := h.parseResponse(body)
	if err != nil {
		return session.User{}, unavailable(err)
	}
	return user, nil
}

// parseResponse reads the body of a successful response. A body without a user id is an
// error and not a refusal: otherwise a defect of the other program would lock users out.
func (h *httpSource) parseResponse(body []byte) (session.User, error) {
	user := session.User{LoginOnly: true}
	member, err := objectMembers(body, "user_id", "claims", "credential")
	if err != nil {
		return user, fmt.Errorf("the response: %w", err)
	}
	if user.ID, err = session.ParseUserID(member["user_id"]); err != nil {
		return user, fmt.Errorf("user_id: %w", err)
	}
	credential, err := readCredential(member["credential"])
	if err != nil {
		return user, err
	}
	user.Credential = session.NewFingerprint(session.Owner{App: h.app, User: user.ID.String()}, credential)
	user.Claims, err = readClaims(user.ID, member["claims"])
	return user, err
}

// readCredential returns the text of the member credential, which is a JSON string or
// number that changes with the user's password, such as a counter. It is empty if the
// member is missing or null.
func readCredential(raw json.RawMessage) (text string, err error) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", nil
	}
	if raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9' {
		return string(raw), nil
	}
	if !utf8.Valid(raw) || json.Unmarshal(raw, &text) != nil { // encoding/json would make two texts that are not UTF-8 equal
		return "", errors.New("credential is neither a string in UTF-8 nor a number")
	}
	return text, nil
}

// errThrottled is the reason in errors with the code Throttled.
var errThrottled = errors.New("the user source limits logins")

// maxRetryAfter bounds Retry-After. A longer time is more likely a mistake of the other
// program than meant.
const maxRetryAfter = 24 * time.Hour

// retryAfter returns the time that the header Retry-After gives, in seconds or as a date
// (RFC 9110, section 10.2.3). It is zero if the header is missing or invalid, or if the
// date has passed. A date is compared with the response's own, if it has one, since the
// other program's clock may differ.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := header.Get("Retry-After")
	if value != "" && strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return maxRetryAfter // more than fits
		}
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date
	}
	return min(max(0, at.Sub(now)), maxRetryAfter)
}
