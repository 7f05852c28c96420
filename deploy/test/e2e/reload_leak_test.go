package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// TestReloadsLeakNothing checks that goroutines, open files and connections of Redis do not
// grow with the number of reloads.
func TestReloadsLeakNothing(t *testing.T) {
	t.Parallel()
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `{"user_id": 7}`) }))
	defer source.Close()
	server, d := redistest.Standalone(t), newAppsDir(t, "web")
	d.write("remote", appFile{"USERS": source.URL})
	d.write("database", appFile{"USERS": "postgres://gate@127.0.0.1:1/users"}) // refuses connections
	r := startReloading(t, 1, server.URL, d, nil)
	g, client := r.gateways[0], r.gateways[0].Client()
	reload := func(n int) {
		for i := range n {
			lifetime := fmt.Sprintf("%dm", 6+i%2)
			r.write("remote", appFile{"USERS": source.URL, "ACCESS_TOKEN_LIFETIME": lifetime})
			r.write("database", appFile{"USERS": "postgres://gate@127.0.0.1:1/users", "ACCESS_TOKEN_LIFETIME": lifetime})
			if i%2 == 0 {
				r.write("new", nil)
			} else {
				r.remove("new")
			}
			before := r.logged()
			g.Hangup()
			poll(t, "the settings have changed", func() bool { return before.count(g, `msg="settings have changed"`) > 0 })
			requireStatus(t, http.StatusOK, client.As("remote", secretOf("remote")).Login(t.Context(), 0, "SHORT", "x"), "login")
			requireStatus(t, http.StatusServiceUnavailable, client.As("database", secretOf("database")).Login(t.Context(), 0, "SHORT", "x"), "login without a database")
		}
	}
	reload(6)
	before := resourcesOf(t, g, server)
	reload(30)
	const slack = 6
	var after resources
	defer func() { t.Logf("before 30 reloads: %+v; after: %+v", before, after) }()
	poll(t, "goroutines, files and connections are as before", func() bool {
		after = resourcesOf(t, g, server)
		return after.goroutines <= before.goroutines+slack && after.files <= before.files+slack && after.connections <= before.connections+slack
	})
}

// resources are what a gateway uses.
type resources struct{ goroutines, files, connections int }

func resourcesOf(t *testing.T, g *gatewaytest.Gateway, server *redistest.Server) (r resources) {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", g.PID()))
	must(t, err)
	return resources{int(metric(t, g, "go_goroutines")), len(files), strings.Count(server.Do("CLIENT", "LIST"), "\n")}
}
