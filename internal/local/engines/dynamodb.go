package engines

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
)

const dynamoDBVersion = "3.3.1"

// dynamoDBProject is a Maven project that depends on DynamoDB Local, in the version given by the property dynamodb.version.
//
//go:embed dynamodb-pom.xml
var dynamoDBProject []byte

func (e *Engines) startDynamoDB(ctx context.Context, i installer) (string, error) {
	java, err := i.command(ctx, "openjdk-17-jre-headless", "java")
	if err != nil {
		return "", err
	}
	library, err := i.dynamoDB(ctx)
	if err != nil {
		return "", err
	}
	address, err := e.serve(ctx, DynamoDB, "dynamodb", func(port, _ int) []string {
		// -Xmx1g bounds Java's heap, which would otherwise grow to a quarter of the machine's memory. With -sharedDb, all
		// access keys and regions see the same tables.
		return []string{
			java, "-Xmx1g", "-Djava.library.path=" + library, "-cp", filepath.Join(library, "*"),
			"software.amazon.dynamodb.services.local.main.ServerRunner",
			"-inMemory", "-sharedDb", "-disableTelemetry", "-port", strconv.Itoa(port),
		}
	}, answers)
	return "http://" + address, err
}

// dynamoDB returns the folder with DynamoDB Local, its dependencies and their native libraries.
func (i installer) dynamoDB(ctx context.Context) (string, error) {
	mvn, err := i.command(ctx, "maven", "mvn")
	if err != nil {
		return "", err
	}
	folder, err := i.folder("dynamodb-local-"+dynamoDBVersion, func(folder string) error {
		if err := os.WriteFile(filepath.Join(folder, "pom.xml"), dynamoDBProject, 0o644); err != nil {
			return err
		}
		return run(ctx, folder, mvn, "--batch-mode", "--quiet", "-Ddynamodb.version="+dynamoDBVersion,
			"org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies",
			"-DincludeScope=runtime", "-DoutputDirectory=lib")
	})
	return filepath.Join(folder, "lib"), err
}

// answers checks that a server answers an HTTP request, with any status.
func answers(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return fmt.Errorf("reading the server's answer: %w", err)
	}
	return nil
}
