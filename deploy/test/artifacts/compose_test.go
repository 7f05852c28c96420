package artifacts

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/session/config"
)

// project has the parts of a Compose project that are tested.
type project struct {
	Services map[string]struct {
		Command     []string
		Environment map[string]string
		Image       string
		StopGrace   string `json:"stop_grace_period"`
		ReadOnly    bool   `json:"read_only"`
		Ports       []struct {
			HostIP    string `json:"host_ip"`
			Target    int
			Published string
		}
		Volumes     []struct{ Type, Source string }
		HealthCheck *struct{ Test []string }
	}
	Networks map[string]struct {
		IPAM struct{ Config []struct{ Subnet string } }
	}
}

// TestCompose reads the file as `docker compose` does, checks the gateways' settings with
// `tokengate check`, and that nothing but the balancer and the admin listeners can be
// reached, and these only from the machine itself.
func TestCompose(t *testing.T) {
	t.Parallel()
	var p project
	decode(t, "compose", "compose.yaml", &p, "REDIS_PASSWORD=redis-password", "SECRET_KEY="+gatewaytest.Secret,
		"SIGNING_KEY="+gatewaytest.SigningKey, "REFRESH_KEY="+gatewaytest.SigningKey+"-refresh")
	var published []string
	for name, s := range p.Services {
		for _, port := range s.Ports {
			published = append(published, name+" "+port.HostIP+":"+port.Published)
		}
		for _, v := range s.Volumes {
			if v.Type == "bind" {
				run(t, exec.CommandContext(t.Context(), "test", "-f", v.Source))
			}
		}
	}
	slices.Sort(published)
	if want := []string{"balancer 127.0.0.1:8080", "gateway1 127.0.0.1:9001", "gateway2 127.0.0.1:9002", "gateway3 127.0.0.1:9003"}; !slices.Equal(published, want) {
		t.Errorf("got the ports %q, want %q", published, want)
	}
	g := p.Services["gateway1"]
	for _, name := range []string{"gateway1", "gateway2", "gateway3"} {
		s := p.Services[name]
		stop, err := time.ParseDuration(s.StopGrace)
		if defaults := config.DefaultProcess(); err != nil || stop <= defaults.ShutdownDelay.Value+defaults.ShutdownGrace.Value {
			t.Errorf("%s: stop_grace_period is %q, want more than SHUTDOWN_DELAY and SHUTDOWN_GRACE", name, s.StopGrace)
		}
		if len(s.Ports) != 1 || s.Ports[0].Target != 9000 || !s.ReadOnly || s.HealthCheck != nil || s.Image != g.Image {
			t.Errorf("%s differs: %+v", name, s)
		}
	}
	if networks := g.Environment["TOKENGATE_TRUSTED_PROXIES"]; networks != p.Networks["inside"].IPAM.Config[0].Subnet {
		t.Errorf("TRUSTED_PROXIES is %s, want the network", networks)
	}
	if command := strings.Join(p.Services["redis"].Command, " "); !strings.Contains(command, "--requirepass redis-password") || !strings.Contains(command, "--maxmemory 2gb") {
		t.Errorf("Redis is started with %q, want a password and maxmemory", command)
	}
	check := exec.CommandContext(t.Context(), gatewaytest.Binary(t), "check")
	for name, value := range g.Environment {
		check.Env = append(check.Env, name+"="+strings.Replace(value, "@redis:6379", "@127.0.0.1:1", 1))
	}
	if output, err := check.CombinedOutput(); err == nil || !strings.Contains(string(output), "the settings are valid, but Redis can't be used") {
		t.Errorf("`tokengate check`: %v\n%s", err, output)
	}
}
