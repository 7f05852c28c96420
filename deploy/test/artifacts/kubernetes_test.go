package artifacts

import (
	"path"
	"slices"
	"strings"
	"testing"
	"time"
)

// object has the parts of Kubernetes' objects that are tested.
type object struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Data     map[string]string // of a ConfigMap
	Spec     struct {
		Strategy struct{ RollingUpdate struct{ MaxUnavailable int } }
		Replicas int
		Selector any // a Service's is a map
		Template struct {
			Metadata struct{ Labels, Annotations map[string]string }
			Spec     podSpec
		}
		Ports       []struct{ TargetPort string } // of a Service
		PodSelector struct{ MatchLabels map[string]string }
		Ingress     []struct {
			Ports []struct{ Port string }
			From  []any
		}
	}
}

type podSpec struct {
	TerminationGracePeriodSeconds                    int
	EnableServiceLinks, AutomountServiceAccountToken *bool
	SecurityContext                                  struct {
		RunAsNonRoot   bool
		SeccompProfile struct{ Type string }
	}
	TopologySpreadConstraints []struct {
		LabelSelector struct{ MatchLabels map[string]string }
	}
	Containers []container
	Volumes    []struct {
		Name      string
		ConfigMap struct{ Name string }
		Secret    struct{ SecretName string }
	}
}

type container struct {
	EnvFrom []struct{ ConfigMapRef struct{ Name string } }
	Ports   []struct {
		Name          string
		ContainerPort int
	}
	StartupProbe, LivenessProbe, ReadinessProbe struct {
		HTTPGet        struct{ Path, Port string }
		TimeoutSeconds int
	}
	VolumeMounts    []struct{ Name, MountPath, SubPath string }
	SecurityContext struct {
		AllowPrivilegeEscalation *bool
		ReadOnlyRootFilesystem   bool
		Capabilities             struct{ Drop []string }
	}
}

// installation has the objects of the example by kind and name.
type installation map[string]object

func (i installation) get(t *testing.T, kind, name string) object {
	t.Helper()
	o, found := i[kind+" "+name]
	if !found {
		t.Fatalf("the example has no %s %s", kind, name)
	}
	return o
}

// buildExample builds the example and decodes it strictly.
func buildExample(t *testing.T) installation {
	t.Helper()
	var all []object
	decode(t, "kubernetes", "kubernetes/example", &all)
	i := installation{}
	for _, o := range all {
		name := o.Metadata.Name
		if o.Kind == "ConfigMap" && strings.HasPrefix(name, "tokengate-settings-") {
			name = "tokengate-settings"
		}
		if o.Metadata.Namespace == "" {
			t.Errorf("%s %s is in no namespace", o.Kind, name)
		}
		i[o.Kind+" "+name] = o
	}
	return i
}

// TestManifestsFitTogether checks that the objects of the example name each other, and the
// ports and settings of the program.
func TestManifestsFitTogether(t *testing.T) {
	i := buildExample(t)
	pod := i.get(t, "Deployment", "tokengate").Spec.Template
	settings := i.get(t, "ConfigMap", "tokengate-settings")
	c := pod.Spec.Containers[0]
	if c.EnvFrom[0].ConfigMapRef.Name != settings.Metadata.Name {
		t.Errorf("the pods have the settings of %q, want those of %s", c.EnvFrom[0].ConfigMapRef.Name, settings.Metadata.Name)
	}
	ports := map[string]int{}
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	if dockerfile := read(t, "Dockerfile"); ports["public"] != 8000 || ports["admin"] != 9000 || !strings.Contains(dockerfile, "TOKENGATE_LISTEN=:8000 TOKENGATE_ADMIN_LISTEN=:9000") {
		t.Errorf("the container has the ports %v, want those of the image", ports)
	}
	if pod.Metadata.Annotations["prometheus.io/port"] != "9000" {
		t.Errorf("got the annotations %v, want the port of the admin listener", pod.Metadata.Annotations)
	}
	label := pod.Metadata.Labels["app.kubernetes.io/name"]
	for _, constraint := range pod.Spec.TopologySpreadConstraints {
		if label == "" || constraint.LabelSelector.MatchLabels["app.kubernetes.io/name"] != label {
			t.Errorf("a topology constraint is for %v, want the label of the pods, %q", constraint.LabelSelector, label)
		}
	}
	for name, port := range map[string]string{"tokengate": "public", "tokengate-admin": "admin"} {
		spec := i.get(t, "Service", name).Spec
		if selector, _ := spec.Selector.(map[string]any); len(spec.Ports) != 1 || spec.Ports[0].TargetPort != port || selector["app.kubernetes.io/name"] != label {
			t.Errorf("the Service %s has the ports %v and the selector %v, want only %s of the pods", name, spec.Ports, spec.Selector, port)
		}
	}
	selector, _ := i.get(t, "PodDisruptionBudget", "tokengate").Spec.Selector.(map[string]any)
	if labels, _ := selector["matchLabels"].(map[string]any); labels["app.kubernetes.io/name"] != label {
		t.Errorf("the budget is for %v, want the pods", selector)
	}
	policy := i.get(t, "NetworkPolicy", "tokengate").Spec
	if policy.PodSelector.MatchLabels["app.kubernetes.io/name"] != label {
		t.Errorf("the network policy is for %v, want the pods", policy.PodSelector)
	}
	for _, rule := range policy.Ingress {
		for _, p := range rule.Ports {
			if ports[p.Port] == 0 || p.Port == "admin" && len(rule.From) == 0 {
				t.Errorf("the network policy opens %q to %v, want a port of the pods, and the admin listener only to some", p.Port, rule.From)
			}
		}
	}
}

// TestPodsAreRestricted checks the pods against the restricted level of Kubernetes' pod
// security standards, and the rules of operations.md.
func TestPodsAreRestricted(t *testing.T) {
	deployment := buildExample(t).get(t, "Deployment", "tokengate").Spec
	pod := deployment.Template.Spec
	off := func(b *bool) bool { return b != nil && !*b }
	if len(pod.Containers) != 1 {
		t.Fatalf("got %d containers, want 1", len(pod.Containers))
	}
	c := pod.Containers[0]
	if !pod.SecurityContext.RunAsNonRoot || pod.SecurityContext.SeccompProfile.Type != "RuntimeDefault" || !off(c.SecurityContext.AllowPrivilegeEscalation) ||
		!c.SecurityContext.ReadOnlyRootFilesystem || !slices.Equal(c.SecurityContext.Capabilities.Drop, []string{"ALL"}) {
		t.Errorf("the pods are not restricted: %+v, %+v", pod.SecurityContext, c.SecurityContext)
	}
	if !off(pod.EnableServiceLinks) || !off(pod.AutomountServiceAccountToken) {
		t.Error("the pods get variables of Services, or a token of the API server")
	}
	if deployment.Replicas < 2 || deployment.Strategy.RollingUpdate.MaxUnavailable != 0 {
		t.Errorf("got %d replicas, of which %d may be unavailable; want several and 0", deployment.Replicas, deployment.Strategy.RollingUpdate.MaxUnavailable)
	}
	for path, probe := range map[string]string{c.StartupProbe.HTTPGet.Path: "/healthz", c.LivenessProbe.HTTPGet.Path: "/healthz", c.ReadinessProbe.HTTPGet.Path: "/readyz?exclude=redis"} {
		if path != probe {
			t.Errorf("a probe asks for %q, want %q", path, probe)
		}
	}
	for _, port := range []string{c.StartupProbe.HTTPGet.Port, c.LivenessProbe.HTTPGet.Port, c.ReadinessProbe.HTTPGet.Port} {
		if port != "admin" {
			t.Errorf("a probe asks the port %q, want admin", port)
		}
	}
}

// TestManifestsNameSettings checks the settings of the manifests, and that each file that
// they name is in a folder that is mounted as a whole, so that it follows changes.
func TestManifestsNameSettings(t *testing.T) {
	i := buildExample(t)
	pod := i.get(t, "Deployment", "tokengate").Spec.Template.Spec
	settings, apps := i.get(t, "ConfigMap", "tokengate-settings").Data, i.get(t, "ConfigMap", "tokengate-apps").Data
	mounted := map[string]string{} // the volumes by path
	for _, m := range pod.Containers[0].VolumeMounts {
		if m.SubPath != "" {
			t.Errorf("%s is mounted with subPath", m.MountPath)
		}
		mounted[m.MountPath] = m.Name
	}
	sources := map[string]string{}
	for _, v := range pod.Volumes {
		sources[v.Name] = v.ConfigMap.Name + v.Secret.SecretName
	}
	if got := sources[mounted[settings["TOKENGATE_APPS_DIR"]]]; got != "tokengate-apps" {
		t.Errorf("the folder of the apps has the files of %q, want tokengate-apps", got)
	}
	files := map[string]string{}
	for name, value := range settings {
		checkSettings(t, "settings.env", name)
		files[name] = value
	}
	for file, text := range apps {
		if path.Ext(file) != ".env" {
			t.Errorf("%s is not NAME.env", file)
		}
		checkAppSettings(t, file, text)
		for name, value := range variables(t, text) {
			files[file+" "+name] = value
		}
	}
	for name, value := range files {
		if strings.HasSuffix(name, "_FILE") && sources[mounted[path.Dir(value)]] != "tokengate-secrets" {
			t.Errorf("%s=%s is not in the folder of the Secret", name, value)
		}
		created := read(t, "kubernetes/example/kustomization.yaml")
		if strings.HasSuffix(name, "_FILE") && !strings.Contains(created, "--from-file="+path.Base(value)) {
			t.Errorf("%s=%s is not in the Secret that the example creates", name, value)
		}
	}
	delay, err := time.ParseDuration(settings["TOKENGATE_SHUTDOWN_DELAY"])
	must(t, err)
	grace, err := time.ParseDuration(settings["TOKENGATE_SHUTDOWN_GRACE"])
	must(t, err)
	if limit := time.Duration(pod.TerminationGracePeriodSeconds) * time.Second; limit <= delay+grace {
		t.Errorf("terminationGracePeriodSeconds is %s, want more than SHUTDOWN_DELAY and SHUTDOWN_GRACE, %s", limit, delay+grace)
	}
}
