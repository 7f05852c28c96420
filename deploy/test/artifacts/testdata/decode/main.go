// Command decode decodes what an operator deploys with the types of the programs that
// read it. It rejects fields that a type does not have, and prints the result as JSON.
//
// It is a module of its own, so that its modules are not the program's.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

func main() {
	decoders := map[string]func(path string) (any, error){"kubernetes": kubernetes, "compose": compose, "dashboard": grafana}
	if len(os.Args) != 3 || decoders[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: decode (kubernetes DIRECTORY | compose FILE | dashboard FILE)")
		os.Exit(2)
	}
	decoded, err := decoders[os.Args[1]](os.Args[2])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(decoded)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// objects has a new object of each kind that the manifests may have.
var objects = map[string]func() any{
	"apps/v1 Deployment":                 func() any { return &apps.Deployment{} },
	"v1 ConfigMap":                       func() any { return &core.ConfigMap{} },
	"v1 Service":                         func() any { return &core.Service{} },
	"policy/v1 PodDisruptionBudget":      func() any { return &policy.PodDisruptionBudget{} },
	"networking.k8s.io/v1 NetworkPolicy": func() any { return &networking.NetworkPolicy{} },
}

// kubernetes builds the directory of a kustomization, as `kubectl kustomize` does.
func kubernetes(path string) (any, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), path)
	if err != nil {
		return nil, err
	}
	var all []any
	for _, r := range built.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			return nil, err
		}
		newObject := objects[r.GetApiVersion()+" "+r.GetKind()]
		if newObject == nil {
			return nil, fmt.Errorf("%s %s: the command decode lacks this kind", r.GetApiVersion(), r.GetKind())
		}
		o := newObject()
		if err := yaml.UnmarshalStrict(text, o); err != nil {
			return nil, fmt.Errorf("%s %s: %w", r.GetKind(), r.GetName(), err)
		}
		all = append(all, o)
	}
	return all, nil
}

// compose reads a file as `docker compose` does, with the variables of the environment.
func compose(path string) (any, error) {
	options, err := cli.NewProjectOptions([]string{path}, cli.WithOsEnv, cli.WithWorkingDirectory(filepath.Dir(path)))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(context.Background())
}

// grafana reads a dashboard. Panels and queries are of these types.
func grafana(path string) (any, error) {
	runtime := cog.NewRuntime()
	runtime.RegisterPanelcfgVariant(stat.VariantConfig())
	runtime.RegisterPanelcfgVariant(timeseries.VariantConfig())
	runtime.RegisterDataqueryVariant(prometheus.VariantConfig())
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var d dashboard.Dashboard
	if err := faults(d.UnmarshalJSONStrict(text)); err != nil {
		return nil, err
	}
	// The strict decoder leaves out the panels that it has checked.
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, err
	}
	return d, faults(d.Validate())
}

// faults returns err, or nil if it is an empty list: the decoder returns one where all is well.
func faults(err error) error {
	if list, ok := err.(cog.BuildErrors); ok && len(list) == 0 {
		return nil
	}
	return err
}
