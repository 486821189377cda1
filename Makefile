# Everything runs in .venv, which the first target that needs it builds from nothing.
PYTHON ?= python3
BIN := .venv/bin

# The GPU targets need only torch, SymPy, python-flint, cuda-core and NVRTC, so they run in whatever Python has them.
GPU_PYTHON ?= python3
GPU_RESULT ?= kernels/results/gpu
# For example -n 14, where pytest-xdist is installed.
GPU_TEST ?=

.PHONY: help demo test test-all check format clean gpu-test gpu-bench bench

help:
	@echo "make demo      derive, compile, search and report: a page of results in minutes"
	@echo "make test      lint, types, layers and the tests (minutes)"
	@echo "make test-all  the same with the slow tests"
	@echo "make bench     kernels beside PyTorch's, on the CPU: a CSV and a figure in kernels/results"
	@echo "make gpu-test  the tests that need an NVIDIA GPU, in GPU_PYTHON"
	@echo "make gpu-bench the same as bench on the GPU"
	@echo "make format    format the code"
	@echo "make clean     remove what the targets above made"

.venv.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[cuda,frame,images,postgres,ray,transformers]" --group dev
	@touch .venv.stamp

demo: .venv.stamp
	$(BIN)/eafo demo

check: .venv.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup

test-all: check
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup -m "slow or not slow"

ACTIVATIONS := crrelu gelu silu mish srelu elu softplus tanh

LARGE := --sizes 2^24 --passes forward+backward

bench: .venv.stamp
	$(BIN)/eafo bench $(ACTIVATIONS) --sizes 2^10,2^16,2^20,2^24 --variants eager,native,compile,eafo,exact,code --csv kernels/results/cpu.csv --figure kernels/results/cpu.png
	$(BIN)/eafo bench $(ACTIVATIONS) $(LARGE) --threads 2 --csv kernels/results/cpu_two_threads.csv
	$(BIN)/eafo bench gelu silu relu_squared $(LARGE) --form gated --csv kernels/results/cpu_gated.csv
	$(BIN)/eafo bench gelu silu relu_squared $(LARGE) --form bias --csv kernels/results/cpu_bias.csv
	$(BIN)/eafo bench crrelu prelu $(LARGE) --parameters channel --csv kernels/results/cpu_channel.csv

gpu-test:
	$(GPU_PYTHON) -m pytest -q -p no:benchmark -m gpu $(GPU_TEST) tests/kernels

GPU_BENCH := -m eafo.cli bench --device cuda --replay --rounds 9 --variants eager,native,compile,compile-fast-math,eafo

gpu-bench:
	$(GPU_PYTHON) $(GPU_BENCH) crrelu --parameters channel --sizes 2^25 --csv $(GPU_RESULT)_channel.csv
	$(GPU_PYTHON) $(GPU_BENCH) mish silu srelu tanh --sizes 2^25 --csv $(GPU_RESULT)_large.csv
	$(GPU_PYTHON) $(GPU_BENCH) crrelu gelu --sizes 2^10,2^14,2^18,2^22,2^25,2^28 --csv $(GPU_RESULT).csv --figure $(GPU_RESULT).png

format: .venv.stamp
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv.stamp demo studies build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
