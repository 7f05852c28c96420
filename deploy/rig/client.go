package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// Client calls one gateway, or a balancer in front of several.
type Client struct {
	URL  string
	HTTP *http.Client
}

// NewClient makes a Client with connections of its own. An answer that takes
// longer than ten seconds counts as none.
func NewClient(url string) *Client {
	return &Client{url, &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
	}}
}

// Client makes a Client of g's public API.
func (g *Gateway) Client() *Client { return NewClient(g.URL) }

// Answer is what came back, or why nothing did.
type Answer struct {
	Status int         `json:"-"` // 0 when no answer came: then the step may or may not have happened
	Header http.Header `json:"-"`
	Body   []byte      `json:"-"`
	Err    error       `json:"-"`

	Refresh   string `json:"refresh"`
	Access    string `json:"access"`
	SessionID string `json:"session_id"`
	Code      string `json:"code"`
	Cause     string `json:"cause"`
}

// Post sends body as JSON; access, if not empty, goes into the Authorization
// header.
func (c *Client) Post(ctx context.Context, path, access string, body any) Answer {
	raw, err := json.Marshal(body)
	if err != nil {
		return Answer{Err: err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+path, bytes.NewReader(raw))
	if err != nil {
		return Answer{Err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	if access != "" {
		req.Header.Set("Authorization", "Bearer "+access)
	}
	return c.Do(req)
}

// Do sends req and reads the whole answer.
func (c *Client) Do(req *http.Request) Answer {
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return Answer{Err: err}
	}
	defer resp.Body.Close()
	a := Answer{Header: resp.Header}
	if a.Body, a.Err = io.ReadAll(resp.Body); a.Err != nil {
		return a
	}
	a.Status = resp.StatusCode
	_ = json.Unmarshal(a.Body, &a) // a body of another shape leaves the members empty
	return a
}

// Login logs the i-th user of the rig's file in as a session type.
func (c *Client) Login(ctx context.Context, i int, sessionType, info string) Answer {
	return c.Post(ctx, "/api/session/login/", "", map[string]string{
		"username": Username(i), "password": Password, "secret_key": Secret, "session": sessionType, "info": info,
	})
}

// Refresh presents a refresh token.
func (c *Client) Refresh(ctx context.Context, sessionType, refresh string) Answer {
	return c.Post(ctx, "/api/session/refresh/", "", map[string]string{"secret_key": Secret, "session": sessionType, "refresh": refresh})
}

// Logout presents a refresh token.
func (c *Client) Logout(ctx context.Context, refresh string) Answer {
	return c.Post(ctx, "/api/session/logout/", "", map[string]string{"secret_key": Secret, "refresh": refresh})
}

// Destroy ends one of the caller's sessions.
func (c *Client) Destroy(ctx context.Context, access, id string) Answer {
	return c.Post(ctx, "/api/session/destroy/", access, map[string]string{"session_id": id})
}

// DestroyOthers ends the caller's sessions of types but the one of refresh.
func (c *Client) DestroyOthers(ctx context.Context, access, refresh, types string) Answer {
	return c.Post(ctx, "/api/session/destroyAllOther/", access, map[string]string{"refresh": refresh, "session": types})
}

// Verify asks whether a token is good.
func (c *Client) Verify(ctx context.Context, token string) Answer {
	return c.Post(ctx, "/api/session/verify/", "", map[string]string{"token": token})
}

// Authz asks as a proxy's forward-auth does.
func (c *Client) Authz(ctx context.Context, access string) Answer {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+"/apps/"+App+"/authz", nil)
	if err != nil {
		return Answer{Err: err}
	}
	req.Header.Set("Authorization", "Bearer "+access)
	return c.Do(req)
}

// List gives the ids of the caller's sessions by type, "Long" and "Short".
func (c *Client) List(ctx context.Context, access string) (map[string][]string, Answer) {
	a := c.Post(ctx, "/api/session/list/", access, map[string]string{"session": "ALL"})
	var body map[string]struct {
		Sessions []struct {
			ID string `json:"session_id"`
		} `json:"Sessions"`
	}
	if a.Status != http.StatusOK {
		return nil, a
	}
	if err := json.Unmarshal(a.Body, &body); err != nil {
		a.Status, a.Err = 0, err
		return nil, a
	}
	ids := map[string][]string{}
	for name, listed := range body {
		for _, s := range listed.Sessions {
			ids[name] = append(ids[name], s.ID)
		}
	}
	return ids, a
}
