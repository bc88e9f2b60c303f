// Renders a chart as `helm template` does, with Helm's own engine: chart folder, release name, namespace, and values
// as JSON on standard input. Kinds of crds/ come first.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"sort"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
)

func main() {
	if len(os.Args) != 4 {
		fail(errors.New("usage: helm-render CHART RELEASE NAMESPACE < VALUES"))
	}
	loaded, err := loader.Load(os.Args[1])
	check(err)
	values := map[string]any{}
	check(json.NewDecoder(os.Stdin).Decode(&values))
	options := chartutil.ReleaseOptions{Name: os.Args[2], Namespace: os.Args[3], IsInstall: true, Revision: 1}
	given, err := chartutil.ToRenderValues(loaded, values, options, nil)
	check(err)
	rendered, err := engine.Render(loaded, given)
	check(err)
	show(loaded, rendered)
}

func show(loaded *chart.Chart, rendered map[string]string) {
	for _, crd := range loaded.CRDObjects() {
		fmt.Printf("---\n%s\n", crd.File.Data)
	}
	names := make([]string, 0, len(rendered))
	for name := range rendered {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if path.Ext(name) == ".yaml" && strings.TrimSpace(rendered[name]) != "" {
			fmt.Printf("---\n%s\n", rendered[name])
		}
	}
}

func check(err error) {
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
