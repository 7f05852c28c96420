package e2e

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"tokengate/deploy/test/gatewaytest"
)

// changingLoad is a load of the clients of an app whose settings change. Its clients can be
// given another secret.
type changingLoad struct {
	*load
	current atomic.Pointer[gatewaytest.Client]
	rounds  [2 * clientsPerApp]atomic.Int64 // of each client
}

// startChangingLoad starts clients of an app that changes.
func (b *reloadBed) startChangingLoad(app, secret string) *changingLoad {
	l := &changingLoad{load: &load{t: b.T, stopping: make(chan struct{})}}
	l.current.Store(b.client.As(app, secret))
	b.Cleanup(l.wg.Wait)
	for i := range clientsPerApp {
		l.wg.Go(func() { l.useSession(i) })
		l.wg.Go(func() { l.logIn(clientsPerApp + i) })
	}
	return l
}

// useSession is like that of load. A retry may get a successor that another key has signed, and
// the access token of the round before must still be accepted.
func (l *changingLoad) useSession(user int) {
	ctx := context.Background()
	login := l.current.Load().Login(ctx, user, "LONG", "laptop")
	if !l.checkOK("login", login) {
		return
	}
	refresh, former := login.Refresh, login.Access
	for !l.stopped() {
		c := l.current.Load()
		resp := c.Refresh(ctx, "LONG", refresh)
		if !l.checkOK("refresh", resp) || !l.checkOK("retried refresh", c.Refresh(ctx, "LONG", refresh)) {
			return
		}
		l.checkOK("authz", c.Authz(ctx, resp.Access))
		l.checkOK("authz with the former access token", c.Authz(ctx, former))
		_, list := c.List(ctx, resp.Access)
		l.checkOK("list", list)
		refresh, former = resp.Refresh, resp.Access
		l.rounds[user].Add(1)
	}
}

// logIn creates sessions one after the other.
func (l *changingLoad) logIn(user int) {
	for !l.stopped() {
		l.checkOK("login", l.current.Load().Login(context.Background(), user, "SHORT", "kiosk"))
		l.rounds[user].Add(1)
		time.Sleep(5 * time.Millisecond)
	}
}

// awaitRounds waits until each client has used what the gateways and clients have now, so
// that no client has a token from before and no request of before is in flight.
func (l *changingLoad) awaitRounds() {
	for i := range l.rounds {
		least := l.rounds[i].Load() + 3
		poll(l.t, "a client has sent its requests again", func() bool { return l.rounds[i].Load() >= least || l.t.Failed() })
	}
}

// replaceSecretKey replaces the secret of the app moving, and lets its clients use the next one
// once each gateway accepts it.
func (b *reloadBed) replaceSecretKey(clients *changingLoad) {
	old, next := secretOf("moving"), "next-secret-"+secretMark
	b.secrets.set("SECRET_KEY", old+","+next)
	b.live("SECRET_KEY step 1", func(g *gatewaytest.Gateway) bool { return b.probe(g, "moving", next).Status == http.StatusOK })
	clients.current.Store(b.client.As("moving", next))
	clients.awaitRounds()
	b.secrets.set("SECRET_KEY", next)
	b.live("SECRET_KEY step 3", func(g *gatewaytest.Gateway) bool { return b.probe(g, "moving", old).Status == http.StatusBadRequest })
}

// kidsOf returns the key IDs of a new session's access and refresh token.
func (b *reloadBed) kidsOf(g *gatewaytest.Gateway, secret string) (access, refresh string) {
	resp := requireStatus(b.T, http.StatusOK, b.probe(g, "moving", secret), "login")
	return kidOf(b.T, resp.Access), kidOf(b.T, resp.Refresh)
}

// replaceSigningKey replaces the key of the app's access tokens.
func (b *reloadBed) replaceSigningKey(clients *changingLoad) {
	secret, old, next := clients.current.Load().Secret, b.secrets.get("SIGNING_KEY"), newEdKey(b.T)
	former, _ := b.kidsOf(b.gateways[0], secret)
	published := func(g *gatewaytest.Gateway) string {
		return string(requireStatus(b.T, http.StatusOK, get(b.T, g, "/apps/moving/jwks.json"), "jwks.json").Body)
	}
	before := published(b.gateways[0])
	b.secrets.set("VERIFYING_KEYS", next)
	b.live("SIGNING_KEY step 1", func(g *gatewaytest.Gateway) bool {
		kid, _ := b.kidsOf(g, secret)
		return published(g) != before && kid == former
	})
	b.secrets.set("VERIFYING_KEYS", old)
	b.secrets.set("SIGNING_KEY", next)
	b.live("SIGNING_KEY step 2", func(g *gatewaytest.Gateway) bool { kid, _ := b.kidsOf(g, secret); return kid != former })
	clients.awaitRounds()
	b.secrets.set("VERIFYING_KEYS", next)
	b.live("SIGNING_KEY step 3", func(g *gatewaytest.Gateway) bool { return !strings.Contains(published(g), former) })
}

// replaceRefreshKey replaces the key of the app's refresh tokens.
func (b *reloadBed) replaceRefreshKey(clients *changingLoad) {
	secret, old, next := clients.current.Load().Secret, b.secrets.get("REFRESH_KEY"), "refresh-next-0123456789abcdef0123456789abcdef"
	_, former := b.kidsOf(b.gateways[0], secret)
	for step, value := range []string{old + "," + next, next + "," + old, next} {
		before := b.logged()
		b.secrets.set("REFRESH_KEY", value)
		b.live("REFRESH_KEY step "+string(rune('1'+step)), func(g *gatewaytest.Gateway) bool {
			_, kid := b.kidsOf(g, secret)
			return before.hasChanged(g, "moving") && (kid != former) == (step > 0)
		})
		clients.awaitRounds()
	}
}

// replaceUsers replaces the password of the app's user source. Both are accepted.
func (b *reloadBed) replaceUsers(clients *changingLoad) {
	before := b.logged()
	b.secrets.set("USERS", b.usersURL(nextUsersPassword))
	b.live("USERS", func(g *gatewaytest.Gateway) bool { return before.hasChanged(g, "moving") })
	clients.awaitRounds() // logins that had begun before are done
	old, next := b.source.count(firstUsersPassword), b.source.count(nextUsersPassword)
	for _, g := range b.gateways {
		requireStatus(b.T, http.StatusOK, b.probe(g, "moving", clients.current.Load().Secret), "login")
	}
	if b.source.count(firstUsersPassword) != old || b.source.count(nextUsersPassword) < next+len(b.gateways) {
		b.Error("gateways have sent the old password to the user source")
	}
}

// replaceAdminToken replaces the token of the admin API.
func (b *reloadBed) replaceAdminToken() {
	next := "next-admin-token-" + secretMark
	b.secrets.set("ADMIN_TOKEN", next)
	b.live("ADMIN_TOKEN", func(g *gatewaytest.Gateway) bool {
		c := gatewaytest.NewClient(g.AdminURL)
		return sendWithHeader(b.T, c, http.MethodGet, "/admin/apps/steady/users/1/sessions", "Authorization", "Bearer "+next).Status == http.StatusOK
	})
}

// replaceRedisPassword gives the gateways' user of Redis another password, and takes the old
// one away when each gateway has the new one.
func (b *reloadBed) replaceRedisPassword() {
	before := b.logged()
	b.redis.Do("ACL", "SETUSER", "gate", ">"+nextRedisPassword)
	b.secrets.set("REDIS_URL", b.redisURL(nextRedisPassword))
	b.live("REDIS_URL", func(g *gatewaytest.Gateway) bool { return before.count(g, " process=true") > 0 })
	b.redis.Do("ACL", "SETUSER", "gate", "<"+firstRedisPassword)
}

// checkRedisPassword checks that new connections have the new password of Redis.
func (b *reloadBed) checkRedisPassword() {
	b.redis.Do("CLIENT", "KILL", "USER", "gate")
	b.until("a login succeeds on new connections", func(g *gatewaytest.Gateway) bool {
		return b.probe(g, "steady", secretOf("steady")).Status == http.StatusOK
	})
	b.checkRevocationsReach("steady")
}
