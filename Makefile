# A thin front for Meson and Ninja; `make help` lists the targets.
BUILD  ?= build
PREFIX ?= /usr/local
# Seconds for each fuzz target of `make fuzz`.
FUZZ_SECONDS ?= 600

.PHONY: all setup demo check clients trust bench install fuzz sanitize soak stores vscode vscode-test lsp-test clean help

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) program

$(BUILD)/build.ninja:
	@tools/setup.sh --verify build
	@tools/grammars.py
	@echo "configuring $(BUILD)"; out=$$(meson setup $(BUILD) --buildtype=release 2>&1) || \
		{ echo "$$out"; exit 1; }

setup:            ## install the system packages that the build needs and that are missing
	@tools/setup.sh build

demo: setup       ## build, fetch the default model, fill the holes in two example files
	@$(MAKE) --no-print-directory all
	@python3 tools/demo.py $(BUILD)/hearth

check:            ## build with warnings as errors and run every test, also under sanitizers
	@python3 tools/check.py

clients: all      ## run the heavy clients' tests: aider, litellm, Continue, npm (HEARTH_HOME has the models)
	@tools/clients.sh

trust: all        ## check that signatures agree with the Python package model-signing (fetches it)
	@tools/trust.sh

# PEER and IK are builds of llama-bench; without them Hearth is measured alone. MODELS are files,
# installed models (the default one where none is named) and synthetic NAME:TYPEs; BENCH holds more options of bench/compare.py.
bench: all        ## prefill and decode speed here (MODELS=..., PEER=llama-bench, IK=..., BENCH=...)
	@python3 bench/compare.py --hearth $(BUILD)/hearth $(if $(PEER),--peer llama.cpp=$(PEER)) \
		$(if $(IK),--peer ik_llama.cpp=$(IK)) $(BENCH) \
		$(or $(MODELS),$(MODEL))

install: all      ## install under PREFIX (default /usr/local; DESTDIR is honoured)
	@meson configure $(BUILD) -Dprefix=$(abspath $(PREFIX))
	@ninja -C $(BUILD) program
	@meson install -C $(BUILD) --no-rebuild

fuzz:             ## run every fuzz target for FUZZ_SECONDS under sanitizers (needs clang)
	@tools/fuzz.sh $(FUZZ_SECONDS)

sanitize:         ## only the C tests, under AddressSanitizer and ThreadSanitizer
	@python3 tools/check.py --only address,thread

soak:             ## the server's long tests: mutated requests, crowds, kills (an hour)
	@python3 tools/soak.py

# Chroma is installed under build-check, Qdrant's description of its API is fetched there; what cannot be had is skipped.
stores: all       ## test the vector stores against a real Chroma server and Qdrant's description of its API
	@tools/stores.sh

vscode:           ## build, test and pack the VS Code extension (needs Node 20 and npm)
	@cd editors/vscode && npm ci && npm run build && npm test && npm run package

# CODE_SERVER is code-server's program or out/node/entry.js, CHROMIUM the browser; PICTURES a folder for screenshots.
vscode-test: all  ## run the packed extension in VS Code in a browser, also in a hostile folder (HEARTH_HOME has the models)
	@tools/editors.sh vscode $(PICTURES)

lsp-test: all     ## run hearth lsp by the official client library (needs Node 22; HEARTH_HOME has the models)
	@tools/editors.sh lsp

clean:
	rm -rf $(BUILD) build-check

help:
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
