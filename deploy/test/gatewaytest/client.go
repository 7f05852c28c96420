package gatewaytest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// Client calls one gateway, or a balancer in front of several, as a client of one app.
type Client struct {
	URL         string
	HTTP        *http.Client
	App, Secret string
}

// NewClient returns a Client of the app App with its own connections. Its requests time out
// after ten seconds.
func NewClient(url string) *Client {
	return &Client{url, &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
	}, App, Secret}
}

// As returns a Client of another app, or with another secret, on the same connections.
func (c *Client) As(app, secret string) *Client { return &Client{c.URL, c.HTTP, app, secret} }

// Client returns a new Client of g's public API.
func (g *Gateway) Client() *Client { return NewClient(g.URL) }

// Response is a response of the gateway, or the error instead of it.
type Response struct {
	Status int         `json:"-"` // 0 if no response came; the step may or may not have happened
	Header http.Header `json:"-"`
	Body   []byte      `json:"-"`
	Err    error       `json:"-"`

	Refresh   string `json:"refresh"`
	Access    string `json:"access"`
	SessionID string `json:"session_id"`
	Code      string `json:"code"`
	Cause     string `json:"cause"`
}

// Post sends body as JSON. If access is not empty, it is sent in the Authorization
// header.
func (c *Client) Post(ctx context.Context, path, access string, body any) Response {
	raw, err := json.Marshal(body)
	if err != nil {
		return Response{Err: err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+path, bytes.NewReader(raw))
	if err != nil {
		return Response{Err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	if access != "" {
		req.Header.Set("Authorization", "Bearer "+access)
	}
	return c.Do(req)
}

// Do sends req and reads the whole response.
func (c *Client) Do(req *http.Request) Response {
	httpResp, err := c.HTTP.Do(req)
	if err != nil {
		return Response{Err: err}
	}
	defer httpResp.Body.Close()
	resp := Response{Header: httpResp.Header}
	if resp.Body, resp.Err = io.ReadAll(httpResp.Body); resp.Err != nil {
		return resp
	}
	resp.Status = httpResp.StatusCode
	_ = json.Unmarshal(resp.Body, &resp) // members that the body does not have stay empty
	return resp
}

// Login logs in the i-th user of the user file and creates a session of a type.
func (c *Client) Login(ctx context.Context, i int, sessionType, info string) Response {
	return c.Post(ctx, "/api/session/login/", "", map[string]string{
		"username": Username(i), "password": Password, "secret_key": c.Secret, "session": sessionType, "info": info,
	})
}

// Refresh refreshes a session of a type.
func (c *Client) Refresh(ctx context.Context, sessionType, refresh string) Response {
	return c.Post(ctx, "/api/session/refresh/", "", map[string]string{"secret_key": c.Secret, "session": sessionType, "refresh": refresh})
}

// Logout revokes the session of a refresh token.
func (c *Client) Logout(ctx context.Context, refresh string) Response {
	return c.Post(ctx, "/api/session/logout/", "", map[string]string{"secret_key": c.Secret, "refresh": refresh})
}

// Destroy revokes one of the caller's sessions.
func (c *Client) Destroy(ctx context.Context, access, id string) Response {
	return c.Post(ctx, "/api/session/destroy/", access, map[string]string{"session_id": id})
}

// DestroyOthers revokes the caller's sessions of a type or "ALL", except the one that
// refresh names.
func (c *Client) DestroyOthers(ctx context.Context, access, refresh, types string) Response {
	return c.Post(ctx, "/api/session/destroyAllOther/", access, map[string]string{"refresh": refresh, "session": types})
}

// Verify asks the gateway whether an access token is valid.
func (c *Client) Verify(ctx context.Context, access string) Response {
	return c.Post(ctx, "/api/session/verify/", "", map[string]string{"token": access})
}

// VerifyRefresh asks the gateway whether a refresh token is valid.
func (c *Client) VerifyRefresh(ctx context.Context, refresh string) Response {
	return c.Post(ctx, "/api/session/verify/", "", map[string]string{"token": refresh, "token_type": "refresh"})
}

// Authz sends the request that a proxy sends for forward authentication.
func (c *Client) Authz(ctx context.Context, access string) Response {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+"/apps/"+c.App+"/authz", nil)
	if err != nil {
		return Response{Err: err}
	}
	req.Header.Set("Authorization", "Bearer "+access)
	return c.Do(req)
}

// List returns the ids of the caller's sessions by type, "Long" and "Short". If the body
// can't be decoded, the Response has status 0 and the error.
func (c *Client) List(ctx context.Context, access string) (map[string][]string, Response) {
	resp := c.Post(ctx, "/api/session/list/", access, map[string]string{"session": "ALL"})
	var body map[string]struct {
		Sessions []struct {
			ID string `json:"session_id"`
		} `json:"Sessions"`
	}
	if resp.Status != http.StatusOK {
		return nil, resp
	}
	if err := json.Unmarshal(resp.Body, &body); err != nil {
		resp.Status, resp.Err = 0, err
		return nil, resp
	}
	ids := map[string][]string{}
	for name, listed := range body {
		for _, s := range listed.Sessions {
			ids[name] = append(ids[name], s.ID)
		}
	}
	return ids, resp
}
