package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
)

// secretMark is a part of every secret in the tests of reloads, and of nothing else that a
// gateway may log.
const secretMark = "0123456789abcdef"

// secretOf returns the default SECRET_KEY of an app.
func secretOf(app string) string { return app + "-secret-" + secretMark }

// appFile has settings of an app by their names in a file of TOKENGATE_APPS_DIR. An empty
// value leaves a setting out.
type appFile map[string]string

// appsDir is a folder for TOKENGATE_APPS_DIR.
type appsDir struct {
	t           *testing.T
	path, users string
}

// newAppsDir returns a folder with these apps, which have the users of one file.
func newAppsDir(t *testing.T, apps ...string) *appsDir {
	t.Helper()
	d := &appsDir{t, t.TempDir(), gatewaytest.UserFile(t)}
	for _, app := range apps {
		d.write(app, nil)
	}
	return d
}

// file returns the path of an app's file.
func (d *appsDir) file(app string) string { return filepath.Join(d.path, app+".env") }

// text returns the content of an app's file: the required settings, and those in changes.
func (d *appsDir) text(app string, changes appFile) string {
	settings := appFile{
		"SECRET_KEY": secretOf(app), "SIGNING_KEY": app + "-signing-key-0123456789abcdef0123456789abcdef", "USERS": "file:" + d.users,
	}
	maps.Copy(settings, changes)
	text := "# the app " + app + "\n\n"
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if settings[name] != "" {
			text += name + "=" + settings[name] + "\n"
		}
	}
	return text
}

// write replaces an app's file.
func (d *appsDir) write(app string, changes appFile) {
	d.t.Helper()
	replaceFile(d.t, d.file(app), d.text(app, changes))
}

// remove removes an app's file.
func (d *appsDir) remove(app string) {
	d.t.Helper()
	must(d.t, os.Remove(d.file(app)))
}

// replaceFile replaces a file in one step.
func replaceFile(t *testing.T, path, text string) {
	t.Helper()
	hidden := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	must(t, os.WriteFile(hidden, []byte(text), 0o600))
	must(t, os.Rename(hidden, path))
}

// startReloading starts n gateways with the apps of a folder. When the test ends, it checks
// that they have logged no secret and still run.
func startReloading(t *testing.T, n int, redisURL string, d *appsDir, settings gatewaytest.Settings) *reloadTest {
	t.Helper()
	r := &reloadTest{T: t, appsDir: d}
	all := gatewaytest.Settings{"APPS": "", "APPS_DIR": d.path}
	maps.Copy(all, settings)
	for range n {
		r.gateways = append(r.gateways, gatewaytest.Start(t, redisURL, all))
	}
	t.Cleanup(func() { checkReloadLogs(t, r.gateways) })
	return r
}

// checkReloadLogs checks that gateways run and have logged no secret.
func checkReloadLogs(t *testing.T, gateways []*gatewaytest.Gateway) {
	for _, g := range gateways {
		select {
		case <-g.Exited():
			t.Errorf("a gateway has exited:\n%s", g.Log())
		default:
		}
		for line := range strings.Lines(g.Log()) {
			if strings.Contains(line, secretMark) || strings.Contains(line, "PRIVATE KEY") || strings.Contains(line, gatewaytest.Password) {
				t.Errorf("the log has a secret: %s", line)
			}
		}
	}
}

// reloadTest is a folder of apps with the gateways that read it.
type reloadTest struct {
	*testing.T
	*appsDir
	gateways []*gatewaytest.Gateway
}

// until waits until the condition holds at each gateway. It returns how long that took.
func (r *reloadTest) until(condition string, holds func(g *gatewaytest.Gateway) bool) time.Duration {
	r.Helper()
	start := time.Now()
	for i, g := range r.gateways {
		poll(r.T, fmt.Sprintf("%s at gateway %d", condition, i+1), func() bool { return holds(g) })
	}
	return time.Since(start)
}

// client returns a client of an app with its default secret.
func (r *reloadTest) client(g *gatewaytest.Gateway, app string) *gatewaytest.Client {
	return g.Client().As(app, secretOf(app))
}

// get sends a GET request to a gateway's public API.
func get(tb testing.TB, g *gatewaytest.Gateway, path string) gatewaytest.Response {
	tb.Helper()
	req, err := http.NewRequest(http.MethodGet, g.URL+path, nil)
	must(tb, err)
	return g.Client().Do(req)
}

// knows reports whether a gateway has an app.
func knows(tb testing.TB, g *gatewaytest.Gateway, app string) bool {
	tb.Helper()
	resp := get(tb, g, "/apps/"+app+"/jwks.json")
	if resp.Status != http.StatusOK && resp.Status != http.StatusNotFound {
		tb.Errorf("jwks.json of %s: got status %d, error %v; want 200 or 404", app, resp.Status, resp.Err)
	}
	return resp.Status == http.StatusOK
}

// untilKnown waits until each gateway has an app.
func (r *reloadTest) untilKnown(app string) {
	r.Helper()
	r.until(app+" is known", func(g *gatewaytest.Gateway) bool { return knows(r.T, g, app) })
}

// untilUnknown waits until no gateway has an app.
func (r *reloadTest) untilUnknown(app string) {
	r.Helper()
	r.until(app+" is not known", func(g *gatewaytest.Gateway) bool { return !knows(r.T, g, app) })
}

// untilAccepted waits until each gateway lets clients of an app log in with a secret.
func (r *reloadTest) untilAccepted(app, secret string) {
	r.Helper()
	r.until("a secret of "+app+" is accepted", func(g *gatewaytest.Gateway) bool {
		return g.Client().As(app, secret).Login(r.Context(), 63, "SHORT", "probe").Status == http.StatusOK
	})
}

// checkServed checks that each gateway serves an app to clients with its default secret.
func (r *reloadTest) checkServed(app, when string) {
	r.Helper()
	for _, g := range r.gateways {
		c := r.client(g, app)
		login := requireStatus(r.T, http.StatusOK, c.Login(r.Context(), 62, "SHORT", "x"), when+": login to "+app)
		requireStatus(r.T, http.StatusOK, c.Refresh(r.Context(), "SHORT", login.Refresh), when+": refresh of "+app)
		requireStatus(r.T, http.StatusOK, c.Authz(r.Context(), login.Access), when+": authz of "+app)
	}
}

// faultLine begins the log line of a fault, and repairedLine is that of its repair.
const (
	faultLine    = `level=ERROR msg="settings can't be used: their last valid values stay in use"`
	repairedLine = `msg="settings are valid again"`
)

// logMark has the lengths of the gateways' logs at a moment.
type logMark map[*gatewaytest.Gateway]int

// logged returns a mark of the present moment. Taken before a change, it keeps a wait from
// finding the lines of an earlier one.
func (r *reloadTest) logged() logMark {
	m := logMark{}
	for _, g := range r.gateways {
		m[g] = len(g.Log())
	}
	return m
}

// count returns the number of lines that a gateway has logged since and that contain all of
// some texts.
func (m logMark) count(g *gatewaytest.Gateway, texts ...string) int {
	return len(linesOf(g.Log()[m[g]:], texts...))
}

// hasChanged reports whether a gateway has logged since that an app has changed.
func (m logMark) hasChanged(g *gatewaytest.Gateway, app string) bool {
	return m.count(g, `msg="settings have changed"`, " changed="+app+" ") > 0
}

// untilChanged waits until each gateway has logged since a moment that an app has changed.
func (r *reloadTest) untilChanged(since logMark, app string) {
	r.Helper()
	r.until(app+" is changed", func(g *gatewaytest.Gateway) bool { return since.hasChanged(g, app) })
}

// untilFault waits until each gateway has a fault in its metrics, and has logged one with
// these words since a moment.
func (r *reloadTest) untilFault(since logMark, words ...string) {
	r.Helper()
	r.until(fmt.Sprintf("the fault %q is reported", words), func(g *gatewaytest.Gateway) bool {
		return metric(r.T, g, "tokengate_config_faults") > 0 && metric(r.T, g, "tokengate_config_last_reload_successful") == 0 &&
			since.count(g, append(words, faultLine)...) > 0
	})
}

// untilFaults waits until each gateway has a number of faults in its metrics, and has logged
// a line with these words since a moment.
func (r *reloadTest) untilFaults(since logMark, n float64, words ...string) {
	r.Helper()
	r.until(fmt.Sprintf("%g faults are reported with %q", n, words), func(g *gatewaytest.Gateway) bool {
		return metric(r.T, g, "tokengate_config_faults") == n && (metric(r.T, g, "tokengate_config_last_reload_successful") == 1) == (n == 0) &&
			since.count(g, words...) > 0
	})
}

// untilRepaired waits until each gateway has logged once since a moment that the settings are
// valid.
func (r *reloadTest) untilRepaired(since logMark) {
	r.Helper()
	r.until("the repair is reported", func(g *gatewaytest.Gateway) bool {
		return metric(r.T, g, "tokengate_config_faults") == 0 && metric(r.T, g, "tokengate_config_last_reload_successful") == 1 &&
			since.count(g, repairedLine) == 1
	})
}

// linesOf returns the lines of a log that contain all of some texts.
func linesOf(log string, texts ...string) (lines []string) {
	for line := range strings.Lines(log) {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			lines = append(lines, line)
		}
	}
	return lines
}

// metric returns the value of a metric. If it has labels, name has an expression for them, and
// the values are added up.
func metric(tb testing.TB, g *gatewaytest.Gateway, name string) (sum float64) {
	tb.Helper()
	req, err := http.NewRequest(http.MethodGet, g.AdminURL+"/metrics", nil)
	must(tb, err)
	req.Close = true // an idle connection would count as one that the gateway leaks
	resp := requireStatus(tb, http.StatusOK, gatewaytest.NewClient(g.AdminURL).Do(req), "metrics")
	found := regexp.MustCompile(`(?m)^`+name+` (\S+)$`).FindAllSubmatch(resp.Body, -1)
	if found == nil && !strings.Contains(name, "{") {
		tb.Fatalf("there is no metric %s", name)
	}
	for _, match := range found {
		value, err := strconv.ParseFloat(string(match[1]), 64)
		must(tb, err)
		sum += value
	}
	return sum
}
