package artifacts

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

const (
	alertsFile = "grafana/alerts.yaml"
	alertTests = "testdata/alerts_test.yaml"
)

// TestAlerts runs the unit tests of the alerts. Each alert has one in which it fires.
func TestAlerts(t *testing.T) {
	t.Parallel()
	rules, err := filepath.Abs(filepath.Join(deploy, alertsFile))
	must(t, err)
	run(t, exec.CommandContext(t.Context(), "promtool", "check", "rules", "--lint=all", "--lint-fatal", rules))
	tests := exec.CommandContext(t.Context(), "promtool", "test", "rules", filepath.Base(alertTests))
	tests.Dir = filepath.Dir(alertTests)
	run(t, tests)
	text, err := os.ReadFile(alertTests)
	must(t, err)
	alerts := regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(read(t, alertsFile), -1)
	for _, alert := range alerts {
		if !regexp.MustCompile(`alertname: ` + alert[1] + `\n +exp_alerts:\n`).Match(text) {
			t.Errorf("%s has no test in which %s fires", alertTests, alert[1])
		}
	}
	if len(alerts) < 10 {
		t.Errorf("found only %d alerts", len(alerts))
	}
}

// server is a Prometheus server.
type server struct {
	*testing.T
	url string
}

// startPrometheus starts Prometheus with the alerts. It reads the metrics of a gateway every
// second.
func startPrometheus(t *testing.T, g *gatewaytest.Gateway) server {
	t.Helper()
	dir, address := t.TempDir(), freeport.Address(t)
	rules, err := filepath.Abs(filepath.Join(deploy, alertsFile))
	must(t, err)
	settings := fmt.Sprintf(`{"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [%q],
		"scrape_configs": [{"job_name": "tokengate", "static_configs": [{"targets": [%q]}]}]}`, rules, strings.TrimPrefix(g.AdminURL, "http://"))
	must(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(settings), 0o600)) // JSON is YAML
	var log strings.Builder
	cmd := exec.Command("prometheus", "--config.file", filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address)
	cmd.Stderr = &log
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("Prometheus:\n%s", log.String())
		}
	})
	return server{t, "http://" + address}
}

// get reads the data of an answer of Prometheus' API. It reports whether there was an
// answer: the server may still be starting.
func (s server) get(path string, data any) bool {
	s.Helper()
	resp, err := http.Get(s.url + path)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	var body struct {
		Status, Error string
		Data          json.RawMessage
	}
	if resp.StatusCode == http.StatusServiceUnavailable {
		return false
	}
	must(s.T, json.NewDecoder(resp.Body).Decode(&body))
	if body.Status != "success" {
		s.Fatalf("%s: %s", path, body.Error)
	}
	must(s.T, json.Unmarshal(body.Data, data))
	return true
}

// hasResult reports whether a query has a result.
func (s server) hasResult(query string) bool {
	s.Helper()
	var data struct{ Result []any }
	return s.get("/api/v1/query?query="+url.QueryEscape(query), &data) && len(data.Result) > 0
}

// rules returns the expressions of the alerts, once each was evaluated. An alert that can't
// be evaluated fails the test.
func (s server) rules() (expressions map[string]string) {
	s.Helper()
	gatewaytest.WaitUntil(s.T, time.Minute, "the alerts are evaluated", func() bool {
		var data struct {
			Groups []struct {
				Rules []struct{ Name, Query, Health, LastError string }
			}
		}
		ready := s.get("/api/v1/rules", &data) && len(data.Groups) > 0
		expressions = map[string]string{}
		for _, g := range data.Groups {
			for _, r := range g.Rules {
				if r.Health == "err" {
					s.Fatalf("%s: %s", r.Name, r.LastError)
				}
				ready = ready && r.Health == "ok"
				expressions[r.Name] = r.Query
			}
		}
		return ready
	})
	return expressions
}

// labels returns the names of the labels of each metric.
func (s server) labels() map[string][]string {
	s.Helper()
	var series []map[string]string
	if !s.get("/api/v1/series?match[]="+url.QueryEscape(`{job="tokengate"}`), &series) {
		s.Fatal("Prometheus does not answer")
	}
	found := map[string][]string{}
	for _, labels := range series {
		for label := range labels {
			found[labels["__name__"]] = append(found[labels["__name__"]], label)
		}
	}
	return found
}

// causeSteps makes a gateway run each kind of step that the dashboard shows.
func causeSteps(t *testing.T, c *gatewaytest.Client) {
	t.Helper()
	first := c.Login(t.Context(), 0, "LONG", "test")
	second := c.Refresh(t.Context(), "LONG", first.Refresh)
	if resp := c.Logout(t.Context(), second.Refresh); resp.Status != http.StatusOK {
		t.Fatalf("logout: got status %d, body %s, error %v; want 200", resp.Status, resp.Body, resp.Err)
	}
	for range 2 { // the limit refuses the second one
		c.Post(t.Context(), "/api/session/login/", "", map[string]string{
			"username": gatewaytest.Username(0), "password": "wrong", "secret_key": gatewaytest.Secret, "session": "LONG", "info": "test",
		})
	}
}

// TestPrometheusHasMetrics runs Prometheus with a gateway. Each panel of the dashboard must
// show something, and each metric of the dashboard, of the alerts and of their tests must
// exist.
func TestPrometheusHasMetrics(t *testing.T) {
	t.Parallel()
	g := gatewaytest.Start(t, redistest.Standalone(t).URL, gatewaytest.Settings{"APP_LOGIN_ATTEMPTS": "1"})
	causeSteps(t, g.Client())
	s := startPrometheus(t, g)
	d := readDashboard(t)
	for title, queries := range d.queries() {
		for _, query := range queries {
			gatewaytest.WaitUntil(t, time.Minute, fmt.Sprintf("the panel %q shows %s", title, query), func() bool { return s.hasResult(query) })
		}
	}
	labels := s.labels()
	expressions := s.rules()
	for _, v := range d.Templating.List {
		expressions["the variable "+v.Name] = v.Definition
	}
	for title, queries := range d.queries() {
		expressions["the panel "+title] = strings.Join(queries, " + ")
	}
	for place, expression := range expressions {
		for _, name := range metricNames(expression) {
			if labels[name] == nil {
				t.Errorf("%s: unknown metric %s", place, name)
			}
		}
	}
	checkTestedSeries(t, labels)
}

// checkTestedSeries checks that each series in the alerts' tests could be one of a gateway.
func checkTestedSeries(t *testing.T, labels map[string][]string) {
	t.Helper()
	text, err := os.ReadFile(alertTests)
	must(t, err)
	tested := regexp.MustCompile(`series: '(\w+)\{(.*)\}'`).FindAllStringSubmatch(string(text), -1)
	for _, series := range tested {
		for _, label := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(series[2], -1) {
			if !slices.Contains(labels[series[1]], label[1]) {
				t.Errorf("%s: no %s has the label %s", alertTests, series[1], label[1])
			}
		}
	}
	if len(tested) == 0 {
		t.Errorf("found no series in %s", alertTests)
	}
}

// Parts of an expression of Prometheus that have no metric in them, and a name.
var (
	noMetric = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\b(?:by|on|without|ignoring)\s*\([^)]*\)|\[[^\]]*\]`)
	selector = regexp.MustCompile(`\{[^}]*\}`)
	promName = regexp.MustCompile(`(?:^|[^\w:.$])([a-zA-Z_:][\w:]*)`)
)

// metricNames returns the names of the metrics in an expression, and nothing for a variable
// that is no query.
func metricNames(expression string) (names []string) {
	if args, ok := strings.CutPrefix(expression, "label_values("); ok {
		expression, _, _ = strings.Cut(args, ", ")
	}
	expression = selector.ReplaceAllString(noMetric.ReplaceAllString(expression, ""), "")
	for _, at := range promName.FindAllStringSubmatchIndex(expression, -1) {
		name := expression[at[2]:at[3]]
		isFunction := strings.HasPrefix(strings.TrimSpace(expression[at[3]:]), "(")
		if !isFunction && !slices.Contains([]string{"and", "or", "unless", "offset", "bool"}, name) {
			names = append(names, name)
		}
	}
	return names
}

// TestMetricNames checks that metrics are found in an expression.
func TestMetricNames(t *testing.T) {
	for expression, want := range map[string][]string{
		`sum by (job) (rate(a_total{x="b", y!~"c"}[5m])) / d > 3 * e offset 15m`: {"a_total", "d", "e"},
		`increase(b_total[5m]) > 0 or (c unless d)`:                              {"b_total", "c", "d"},
		`up == 0 and on (job, instance) last_over_time(f[1d])`:                   {"up", "f"},
		`label_values(g{job=~"$job"}, instance)`:                                 {"g"},
		"":                                                                       nil,
	} {
		if got := metricNames(expression); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", expression, got, want)
		}
	}
}
