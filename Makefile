# What a developer does with Gatehouse. `make help` lists it.
#
# All that must be there: Node 20 or later with npm, and make. The rest installs itself, Node 26 included, by which
# everything here runs. A setting given on the command line (`make up GATEWAY_PORT=4000`) reaches the processes.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# npm replaces node_modules, so it cannot run by the Node that is in there.
MACHINE_PATH := $(subst $(CURDIR)/node_modules/.bin:,,$(PATH))
export PATH := $(CURDIR)/node_modules/.bin:$(MACHINE_PATH)

# npm's own note of what is installed.
INSTALLED := node_modules/.package-lock.json

DATA_DIR ?= .data

# Whose migrations.
SERVICE ?= user-svc

.PHONY: help
help: ## lists the targets
	@printf 'make TARGET\n\n'
	@sed -nE 's/^([a-z-]+):.* ## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

$(INSTALLED): export PATH := $(MACHINE_PATH)
$(INSTALLED): package-lock.json
	@command -v node >/dev/null || { echo 'Node is not installed: Gatehouse needs Node 20 or later, with npm'; exit 1; }
	@command -v npm >/dev/null || { echo 'npm is not installed: Gatehouse needs the one that comes with Node'; exit 1; }
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || \
	  { echo "Node $$(node --version) is too old: Gatehouse needs 20 or later"; exit 1; }
	@echo 'Installing packages'
	@npm ci --no-progress --loglevel=error
	@touch $@

.PHONY: up
up: $(INSTALLED) ## runs the whole system until Ctrl-C; data under .data
	@node deploy/dev/up.ts

.PHONY: gateway
gateway: $(INSTALLED) ## runs another gateway beside it: make gateway GATEWAY_PORT=3001
	@# The flag of deploy/dev/services.ts, which says why.
	@node --v8-pool-size=1 deploy/dev/gateway.ts

.PHONY: down
down: $(INSTALLED) ## stops what `make up` runs in another terminal
	@node deploy/dev/down.ts

.PHONY: reset
reset: down ## stops it and deletes all its data
	@echo 'Deleting $(DATA_DIR): databases, secrets, logs'
	@rm -rf -- '$(DATA_DIR)'

.PHONY: test
test: $(INSTALLED) ## runs the tests, or some: make test FILES=test/runtime/grpc/rules.test.ts
	@node test/support/runner.ts $(FILES)

.PHONY: bench
bench: $(INSTALLED) ## what a request costs against the budgets, as a table; on a machine that does nothing else
	@node test/bench/bench.ts

.PHONY: bench-envoy
bench-envoy: $(INSTALLED) ## what a request costs beside Envoy, from its Python package, as a table
	@node test/bench/bench.ts envoy

.PHONY: bench-data
bench-data: $(INSTALLED) ## what the data side takes on a seeded million of documents, as a table
	@node test/bench/data.ts

.PHONY: profile
profile: $(INSTALLED) ## where the gateway's CPU goes under that load; the profile itself under .data/profile
	@node test/bench/profile.ts

.PHONY: check
check: $(INSTALLED) ## contract, generated code, types, lint, unused code, layout
	buf lint
	buf breaking proto --against proto/released.binpb
	rm -rf .data/generated
	$(call generate,.data/generated)
	diff -r .data/generated/proto/gen proto/gen || { echo 'proto/gen is not what the contract gives: run make generate'; exit 1; }
	tsc --noEmit
	biome check .
	knip --no-progress
	node test/structure/imports.test.ts >.data/imports.tap || { cat .data/imports.tap; exit 1; }

.PHONY: generate
generate: $(INSTALLED) ## makes proto/gen from the contract
	$(call generate,.)

# $(1): the folder in which proto/gen is made.
define generate
buf generate --output $(1)
	buf generate --template buf.gen.options.yaml --output $(1)
	buf build proto --as-file-descriptor-set --output $(1)/proto/gen/contract.binpb
endef

.PHONY: release-contract
release-contract: $(INSTALLED) ## promises the contract as it is: from now on `make check` finds what breaks it
	buf build proto --as-file-descriptor-set --output proto/released.binpb

.PHONY: migrate
migrate: $(INSTALLED) ## brings the database up to date, of a running system too
	@node deploy/dev/migrate-main.ts up

.PHONY: doctor
doctor: $(INSTALLED) ## whether the database is as it should be; FIX=1 counts documents anew
	@node deploy/dev/doctor.ts

.PHONY: seed
seed: $(INSTALLED) ## fills the database with data to look at: make seed USERS=100000 DOCS=1000000
	@node deploy/dev/seed.ts

.PHONY: migrate-status
migrate-status: $(INSTALLED) ## which migrations are applied, pending, or not as they were
	@node deploy/dev/migrate-main.ts status

.PHONY: migrate-down
migrate-down: $(INSTALLED) ## takes the last one back: make migrate-down SERVICE=user-svc
	@node deploy/dev/migrate-main.ts down $(SERVICE)

.PHONY: migration
migration: $(INSTALLED) ## begins a new one: make migration NAME=add-something SERVICE=user-svc
	@node deploy/dev/new-migration.ts '$(NAME)' '$(SERVICE)'

.PHONY: schema
schema: $(INSTALLED) ## writes down what the migrations make: schema.sql and schema.ts of each service
	@node deploy/dev/schema.ts

.PHONY: fmt
fmt: $(INSTALLED) ## formats, and mends what lint can
	biome check --write .
	buf format --write proto
