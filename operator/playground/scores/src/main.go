// Scores manifests as `kube-score score` does, with its own checks, all of them: the minor version of Kubernetes, and
// the manifests as YAML on standard input. The answer is a list of objects with their checks, as JSON.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/zegl/kube-score/config"
	"github.com/zegl/kube-score/domain"
	"github.com/zegl/kube-score/parser"
	"github.com/zegl/kube-score/renderer/json_v2"
	"github.com/zegl/kube-score/score"
	"github.com/zegl/kube-score/score/checks"
)

type input struct{ io.Reader }

func (input) Name() string { return "manifests" }

func main() {
	if len(os.Args) != 2 {
		fail(errors.New("usage: manifest-score VERSION < MANIFESTS"))
	}
	version, err := config.ParseSemver(os.Args[1])
	check(err)
	settings := &config.RunConfiguration{
		EnabledOptionalTests:  optional(),
		KubernetesVersion:     version,
		MinReplicasDeployment: 2,
		MinReplicasHPA:        2,
	}
	reader, err := parser.New(&parser.Config{})
	check(err)
	parsed, err := reader.ParseFiles([]domain.NamedReader{input{os.Stdin}})
	check(err)
	card, err := score.Score(parsed, score.RegisterAllChecks(parsed, &checks.Config{}, settings), settings)
	check(err)
	show(json_v2.Output(card))
}

func optional() map[string]struct{} {
	found := map[string]struct{}{}
	for _, one := range score.RegisterAllChecks(parser.Empty(), nil, nil).All() {
		if one.Optional {
			found[one.ID] = struct{}{}
		}
	}
	return found
}

func show(answer io.Reader) {
	text, err := io.ReadAll(answer)
	check(err)
	var short bytes.Buffer
	check(json.Compact(&short, text))
	fmt.Println(short.String())
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
