package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// TestLargeListNotRead checks that a client that does not read its answer, of more sessions than
// a page has, holds up only the large lists of its app. They are refused as busy after a while,
// and go on when the client has disconnected. Other lists are answered.
func TestLargeListNotRead(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	g := gatewaytest.Start(t, server.URL, gatewaytest.Settings{
		"APPS": gatewaytest.App + ",mail", mailPrefix + "SECRET_KEY": "mail-secret-0123456789abcdef0123",
		mailPrefix + "SIGNING_KEY": "mail-signing-key-0123456789abcdef0123456789abcdef", mailPrefix + "USERS": "file:" + gatewaytest.UserFile(t),
		"APP_LONG_SESSION_LIMIT_NUMBER_OF_AVAIL_SESSIONS": "false", mailPrefix + "LONG_SESSION_LIMIT_NUMBER_OF_AVAIL_SESSIONS": "false",
	})
	ctx, shop := t.Context(), g.Client()
	mail := shop.As("mail", "mail-secret-0123456789abcdef0123")
	large := requireStatus(t, http.StatusOK, shop.Login(ctx, 0, "LONG", "x"), "login")
	small := requireStatus(t, http.StatusOK, shop.Login(ctx, 1, "LONG", "x"), "login of a user with one session")
	elsewhere := requireStatus(t, http.StatusOK, mail.Login(ctx, 0, "LONG", "x"), "login to the other app")
	const sessions = 8000
	fillSessions(t, server, session.Owner{App: gatewaytest.App, User: "1"}, sessions) // 32 MB, more than the buffers of a connection
	fillSessions(t, server, session.Owner{App: "mail", User: "1"}, 300)

	conn := sendList(t, g, large.Access)
	poll(t, "a list of the app is refused", func() bool {
		resp := shop.Post(ctx, "/api/session/list/", large.Access, map[string]string{"session": "ALL"})
		if resp.Status == http.StatusServiceUnavailable && (resp.Code != "busy" || resp.Header.Get("Retry-After") == "") {
			t.Errorf("got %d %s, want the code busy and Retry-After", resp.Status, resp.Body)
		}
		return resp.Status == http.StatusServiceUnavailable
	})
	for what, list := range map[string]func() (map[string][]string, gatewaytest.Response){
		"a list of one page":            func() (map[string][]string, gatewaytest.Response) { return shop.List(ctx, small.Access) },
		"a large list of the other app": func() (map[string][]string, gatewaytest.Response) { return mail.List(ctx, elsewhere.Access) },
	} {
		_, resp := list()
		requireStatus(t, http.StatusOK, resp, what)
	}
	must(t, conn.Close())
	poll(t, "a large list is answered", func() bool {
		ids, resp := shop.List(ctx, large.Access)
		return resp.Status == http.StatusOK && len(ids["Long"]) == sessions+1
	})
}

// sendList sends a list and reads no more than the beginning of the answer.
func sendList(t *testing.T, g *gatewaytest.Gateway, access string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	must(t, conn.(*net.TCPConn).SetReadBuffer(4096))
	const body = `{"session":"ALL"}`
	_, err = fmt.Fprintf(conn, "POST /api/session/list/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", access, len(body), body)
	must(t, err)
	must(t, conn.SetReadDeadline(time.Now().Add(30*time.Second)))
	line, err := bufio.NewReaderSize(conn, 16).ReadString('\n')
	if must(t, err); !strings.Contains(line, "200") {
		t.Fatalf("got %q, want 200", line)
	}
	return conn
}

// fillSessions creates n sessions of a user with as much info as a session can have.
func fillSessions(t *testing.T, server *redistest.Server, owner session.Owner, n int) {
	t.Helper()
	o := redisstore.Defaults()
	o.URL = server.URL
	store, err := redisstore.New(o)
	must(t, err)
	defer store.Close()
	for range n {
		_, err := store.Create(context.Background(), session.CreateStep{
			Owner: owner, Policy: session.Policy{Lifetime: time.Hour, AbsoluteLifetime: time.Hour},
			Session: session.Session{ID: session.NewID(), Type: session.Long, Info: strings.Repeat("i", session.MaxInfo)},
		})
		must(t, err)
	}
}
