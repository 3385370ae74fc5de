package engines

import (
	"context"
	_ "embed"
	"os"
	"path/filepath"
	"strconv"
)

const motoVersion = "5.2.5"

// motoRequirements are moto and its dependencies, in pip's form.
//
//go:embed moto-requirements.txt
var motoRequirements []byte

func (e *Engines) startSQS(ctx context.Context, i installer) (string, error) {
	python, err := i.command(ctx, "python3-venv", "python3")
	if err != nil {
		return "", err
	}
	moto, err := i.folder("moto-"+motoVersion, func(folder string) error {
		if err := os.WriteFile(filepath.Join(folder, "requirements.txt"), motoRequirements, 0o644); err != nil {
			return err
		}
		if err := run(ctx, folder, python, "-m", "venv", "."); err != nil {
			return err
		}
		return run(ctx, folder, "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
			"--no-deps", "--requirement", "requirements.txt")
	})
	if err != nil {
		return "", err
	}
	address, err := e.serve(ctx, SQS, "sqs", func(port, _ int) []string {
		return []string{filepath.Join(moto, "bin", "moto_server"), "-H", "127.0.0.1", "-p", strconv.Itoa(port)}
	}, answers)
	return "http://" + address, err
}
