package artifacts

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

const dashboardFile = "grafana/dashboard.json"

// dashboard has the parts of Grafana's dashboard that are tested.
type dashboard struct {
	Templating struct {
		List []struct {
			Name, Type string
			Query      any // of the type query, an object
			Definition string
		}
	}
	Panels []panel
}

type panel struct {
	ID          int
	Type, Title string
	DataSource  struct{ UID string }
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct {
		RefID, Expr string
		DataSource  struct{ UID string }
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	must(t, json.Unmarshal([]byte(read(t, dashboardFile)), &d))
	return d
}

// queries returns the panels' queries with values for Grafana's variables, by the panel's
// title.
func (d dashboard) queries() map[string][]string {
	found := map[string][]string{}
	values := strings.NewReplacer("$job", ".+", "$instance", ".+", "$__rate_interval", "1m")
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			found[p.Title] = append(found[p.Title], values.Replace(target.Expr))
		}
	}
	return found
}

// TestGrafanaReadsDashboard checks that Grafana's types have each field of the dashboard.
func TestGrafanaReadsDashboard(t *testing.T) {
	var d dashboard
	decode(t, "dashboard", dashboardFile, &d)
	if len(d.Panels) < 20 {
		t.Errorf("got %d panels, want all", len(d.Panels))
	}
}

// variable matches a variable of Grafana.
var variable = regexp.MustCompile(`\$(\w+)`)

// TestDashboardFitsTogether checks the panels' numbers, places and titles, and that each
// variable exists.
func TestDashboardFitsTogether(t *testing.T) {
	d := readDashboard(t)
	known := map[string]bool{"__rate_interval": true}
	for _, v := range d.Templating.List {
		known[v.Name] = true
	}
	ids, used := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("panel %q: the id %d occurs twice, or is 0", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := used[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("panel %q is over %q, or beyond the right edge", p.Title, other)
				}
				used[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Title == "" || len(p.Targets) == 0 || p.DataSource.UID != "$datasource" {
			t.Errorf("panel %d (%q) has no title, no query or another data source", p.ID, p.Title)
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if refs[target.RefID] || target.DataSource.UID != "$datasource" {
				t.Errorf("panel %q: the query %s occurs twice or has another data source", p.Title, target.RefID)
			}
			refs[target.RefID] = true
			for _, v := range variable.FindAllStringSubmatch(target.Expr, -1) {
				if !known[v[1]] {
					t.Errorf("panel %q: unknown variable %s", p.Title, v[0])
				}
			}
			if !strings.Contains(target.Expr, `job=~"$job", instance=~"$instance"`) {
				t.Errorf("panel %q does not select the job and the instance: %s", p.Title, target.Expr)
			}
		}
	}
}
