# Every target that people need has a line "## what it does", which `make help` shows.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

# As on AWS: no C library, no RPC server for the retired runtime, no machine paths or debug data in the binary. Nor the
# commit: a change elsewhere must leave a function's binary the same.
GO_BUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags lambda.norpc -ldflags "-s -w"
FUNCTIONS := $(notdir $(wildcard functions/*))

PORT ?= 8080
FUNCTION ?= usage-api
EVENT ?= events/usage-pat.json
FUZZTIME ?= 10s

# A first build compiles the standard library and two large clients too. Without debug data, and without optimizing the clients'
# generated code, it takes a quarter less. The functions are built with all optimizations.
DEV_FLAGS := -ldflags "-s -w" -gcflags="all=-dwarf=false" \
	-gcflags="github.com/aws/aws-sdk-go-v2/service/...=-N -l -dwarf=false" \
	-gcflags="github.com/valkey-io/valkey-go/internal/cmds=-l -dwarf=false"

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: dev
dev: ## run the whole system here, with demo data, on PORT (8080)
	@mkdir -p bin
	@go build $(DEV_FLAGS) -o bin/dev ./internal/cmd/dev
	@PORT=$(PORT) exec bin/dev

# The engines are started and stopped with the stack; ENGINES=running uses the engines of compose.yaml.
ENGINES ?= start
.PHONY: dev-aws
dev-aws: ## run the whole system on DynamoDB Local, an SQS server and Redis, at the ports 8000 to 8003
	@mkdir -p bin
	@go build $(DEV_FLAGS) -o bin/dev ./internal/cmd/dev
	@PORT=$(PORT) exec bin/dev -engines $(ENGINES)

.PHONY: test
test: ## run all tests that need only Go
	go test ./...

# testing.Short() shrinks or leaves out the long tests: storms, properties, large tables, and builds of programs.
.PHONY: test-short
test-short: ## run all tests that need only Go, in their short form
	go test -short ./...

# The short forms take the same paths as the long ones with fewer rounds. Of the tests that -short leaves out, the two contracts
# with conflicts run here: in them deliveries meet. The skipped tests count units and round trips of single requests.
.PHONY: race
race: ## run the tests with the race detector: in their short form, and the contracts with conflicts
	go test -race -short -timeout=30m -skip '^Test(AlertCost|FlatCost|RoundTrips|UnitsOf|ReadCapacity|WriteCapacity|ItemsStaySmall|BusyItemsStaySmall)' ./...
	go test -race -timeout=30m -run Conflicts ./internal/local/stackstore

# Engines are started for the tests and stopped after them; missing ones are installed, most of them into .cache/engines.
.PHONY: test-aws
test-aws: ## run the suites against DynamoDB Local, an SQS server and Redis
	@mkdir -p bin
	@go build -o bin/testaws ./internal/cmd/testaws
	@exec bin/testaws

# SEED repeats a storm. Its log stays in .cache/_artifacts.
MESSAGES ?= 500
CUSTOMERS ?= 60
RESTAURANTS ?= 10
SEED ?= 0
.PHONY: test-faults
test-faults: ## run a storm while everything fails: MESSAGES=20000 CUSTOMERS=200 RESTAURANTS=20 is the large one
	@mkdir -p bin .cache
	@go build -o bin/testaws ./internal/cmd/testaws
	@exec bin/testaws -v '-run=^TestFaults$$' -timeout=90m -artifacts -outputdir=.cache ./internal/local/devstack \
		-storm.messages=$(MESSAGES) -storm.customers=$(CUSTOMERS) -storm.restaurants=$(RESTAURANTS) -faults.seed=$(SEED)

# An owner's limit and offset are ignored, valid or not. Schemathesis would call that a fault, so owners send valid values only.
# The requests are the same each time; another SEED makes others.
SCHEMATHESIS := .cache/schemathesis
test-openapi: SEED = 1
$(SCHEMATHESIS)/installed-4.32.5:
	python3 -m venv --clear $(SCHEMATHESIS)
	$(SCHEMATHESIS)/bin/pip install --quiet --disable-pip-version-check schemathesis==4.32.5
	touch $@

.PHONY: test-openapi
test-openapi: $(SCHEMATHESIS)/installed-4.32.5 ## compare a local stack with docs/openapi.yaml, by Schemathesis
	@mkdir -p bin
	@go build $(DEV_FLAGS) -o bin/dev ./internal/cmd/dev
	@.ci/with-stack bash -euc 'run() { \
		$(SCHEMATHESIS)/bin/schemathesis --config-file ".ci/schemathesis/$$1.toml" run docs/openapi.yaml --url "$$SUFRAH_API" \
			--checks all --max-examples 50 --seed "$(SEED)" --continue-on-failure "$${@:2}"; \
	}; run administrator --mode all; run owner --mode positive --warnings off'

.PHONY: test-client
test-client: chromium ## check and test the TypeScript client, the dashboard and the page, in a browser too; needs Node 20
	@mkdir -p bin
	@go build $(DEV_FLAGS) -o bin/dev ./internal/cmd/dev
	cd client && npm ci --no-audit --no-fund
	cd client && npm run generate:check && npm run typecheck
	@cd client && npm run page:check || { echo "internal/local/page/dist isn't what client/app builds: run make page" >&2; exit 1; }
	@.ci/with-stack bash -euc 'cd client && npm test && npm run e2e && npm run fixtures'

# Pictures of the page's states, in both languages and themes and at two widths, are written to .cache/screenshots.
.PHONY: chromium
chromium:
	@test -n "$${CHROMIUM:-}" || command -v chromium >/dev/null || { \
		test "$$(id -u)" = 0 && apt-get update -qq && \
			apt-get install -qq -y --no-install-recommends chromium fonts-noto-core >/dev/null; \
	} || { echo "test-client needs Chromium: apt-get install chromium, or name another one in CHROMIUM" >&2; exit 1; }

.PHONY: page
page: ## build the local stack's page from client/app; needs Node 20
	cd client && npm ci --no-audit --no-fund && npm run page

# Packages are fuzzed side by side: linking a target, most of a short run's time, takes one processor.
.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (10s) each
	@grep -rEl --include='*_test.go' '^func Fuzz' internal | xargs -n1 dirname | sort -u | xargs -P "$$(getconf _NPROCESSORS_ONLN)" -I{} .ci/fuzz {} $(FUZZTIME)

.PHONY: test-mutants
test-mutants: ## break some sixty lines, one at a time, and fail if the tests miss any
	@go run ./internal/cmd/mutants

.PHONY: lint
lint: ## check formatting, vet and golangci-lint (with staticcheck); the first run compiles the linters (4 minutes)
	@test -z "$$(gofmt -l .)" || { gofmt -d .; exit 1; }
	go vet -tags aws ./...
	go run $(GOLANGCI_LINT) run

# The template's tools come from PyPI, pinned, into a folder that git ignores.
SAM_TOOLS := .cache/sam-tools
$(SAM_TOOLS)/installed-1.170.0:
	python3 -m venv --clear $(SAM_TOOLS)
	$(SAM_TOOLS)/bin/pip install --quiet --disable-pip-version-check cfn-lint==1.58.0 aws-sam-cli==1.170.0
	touch $@

.PHONY: lint-template
lint-template: export SAM_CLI_TELEMETRY = 0
lint-template: $(SAM_TOOLS)/installed-1.170.0 ## check template.yaml and its nested templates, and build it, with cfn-lint and SAM's CLI
	$(SAM_TOOLS)/bin/cfn-lint -c I -- template.yaml internal/stack/*.yaml
	$(SAM_TOOLS)/bin/sam validate --lint
	$(SAM_TOOLS)/bin/sam build
	@ls -l .aws-sam/build/*/bootstrap
	@$(SAM_TOOLS)/bin/python .ci/versions
	@large="$$(find .aws-sam/build -name bootstrap -size +15000k)"; test -z "$$large" || { echo "over 15 MB: $$large"; exit 1; }

# A test checks that both files are up to date.
.PHONY: alarms
alarms: ## write the alarms of internal/cmd/alarms into template.yaml and internal/stack/operations.yaml
	@go run ./internal/cmd/alarms

BASE ?= main
.PHONY: compare-stack
compare-stack: $(SAM_TOOLS)/installed-1.170.0 ## show the resources of the stack that differ from the commit BASE (main)
	@$(SAM_TOOLS)/bin/python .ci/compare $(BASE)

# A release has an id, a hash of its build and its parameters; template.yaml gives the reason.
# The parameters are the stage's from samconfig.toml, because --parameter-overrides replaces that list, followed by
# PARAMETERS, which therefore win. All others keep their value in the stack.
STAGE ?= dev
PARAMETERS ?=
override PARAMETERS := $(shell sed -n '/^\[$(STAGE)\.deploy/,/^$$/s/^parameter_overrides = "\(.*\)".*/\1/p' samconfig.toml) $(PARAMETERS)

# stamp writes the release's id into the output of `sam build`.
.PHONY: stamp
stamp:
	@release="$$( (sed '/^ *RELEASE:/d' .aws-sam/build/template.yaml; cat .aws-sam/build/*/bootstrap; echo "$(PARAMETERS)") | sha256sum | cut -c1-16)"; \
		sed -i.bak "s/^\( *RELEASE:\).*/\1 r$$release/" .aws-sam/build/template.yaml; \
		grep -q "RELEASE: r$$release" .aws-sam/build/template.yaml; echo "release r$$release"

# CONFIRM=no asks nobody, where a machine deploys.
CONFIRM ?=
.PHONY: deploy
deploy: export SAM_CLI_TELEMETRY = 0
deploy: $(SAM_TOOLS)/installed-1.170.0 ## release the stack of STAGE (dev), with PARAMETERS such as "JobRatePerMinute=40"
	$(SAM_TOOLS)/bin/sam build
	@$(MAKE) --no-print-directory stamp
	$(SAM_TOOLS)/bin/sam deploy --config-env $(STAGE) --parameter-overrides $(PARAMETERS) $(if $(filter no,$(CONFIRM)),--no-confirm-changeset)

.PHONY: vulncheck
vulncheck: ## look for known vulnerabilities in called code
	go run $(GOVULNCHECK) ./...

.PHONY: bench
bench: ## measure every figure beside its baseline: a line of JSON for each, and a table
	@go run ./internal/cmd/bench $(BENCH)

.PHONY: costs
costs: ## count each operation's units and round trips: ARGS=--json for lines, --write for docs, --check for CI
	@go run ./internal/cmd/costs $(ARGS)

.PHONY: invoke
invoke: ## send EVENT (after BEFORE) to the compiled FUNCTION, as Lambda would
	@go run ./internal/cmd/invoke -function $(FUNCTION) -event $(EVENT) $(if $(BEFORE),-before $(BEFORE))

.PHONY: test-sam
test-sam: export SAM_CLI_TELEMETRY = 0
test-sam: $(SAM_TOOLS)/installed-1.170.0 ## send every event by sam local invoke to a stack on engines; needs docker or podman
	@mkdir -p bin
	@go build $(DEV_FLAGS) -o bin/dev ./internal/cmd/dev
	@.ci/test-sam $(SAM_TOOLS)/bin/sam

.PHONY: message
message: ## write to a restaurant of `make dev` as a customer: FROM=+966500000001 BODY=hello [TO= USER_ID= BUTTON= LIST= OPT_OUT= ID= PROFILE=]
	@go run ./internal/cmd/message -url "http://localhost:$(PORT)" -from "$${FROM:-}" -body "$${BODY:-}" \
		-to "$${TO:-}" -user-id "$${USER_ID:-}" -opt-out "$${OPT_OUT:-}" -button "$${BUTTON:-}" -list "$${LIST:-}" -id "$${ID:-}" -profile "$${PROFILE:-}"

.PHONY: build
build: $(FUNCTIONS:%=bin/%/bootstrap) bin/sufrahctl ## compile the functions for this machine, and sufrahctl

.PHONY: FORCE
bin/%/bootstrap: FORCE
	$(GO_BUILD) -o $@ ./functions/$*

bin/sufrahctl: FORCE
	go build -trimpath -o $@ ./internal/cmd/sufrahctl

# `sam build` calls these targets (BuildMethod: makefile in template.yaml), named by the functions' logical ids.
build-UsageApiFunction: FUNCTION = usage-api
build-UsageAdminFunction: FUNCTION = usage-admin
build-ProcessMessageFunction: FUNCTION = process-message
build-WelcomeBootstrapFunction: FUNCTION = welcome-bootstrap
build-ReleaseCheckFunction: FUNCTION = release-check
BUILDS := $(addprefix build-,UsageApiFunction UsageAdminFunction ProcessMessageFunction WelcomeBootstrapFunction ReleaseCheckFunction)
.PHONY: $(BUILDS)
$(BUILDS):
	GOOS=linux GOARCH=arm64 $(GO_BUILD) -o "$(ARTIFACTS_DIR)/bootstrap" ./functions/$(FUNCTION)

.PHONY: clean
clean: ## remove everything built and installed
	rm -rf bin .aws-sam .cache client/node_modules client/dist
