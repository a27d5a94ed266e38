# Everything runs in a virtual environment that `make setup` creates. Needs Python 3.10 or newer.

PYTHON ?= python3
VENV ?= .venv
# Versions: make test CONSTRAINTS=constraints/lowest.txt VENV=.venv-lowest
CONSTRAINTS ?=
INSTALLED = $(VENV)/installed

# make demo: first the released weights on four frames of a small scene, then four procedural rooms, small pictures, the
# fast network, and this long to train (DD:HH:MM:SS).
DEMO_TIME ?= 00:00:05:00
DEMO_SCENE = --scene benchmarks/scenes/gallery/scene.xml --camera benchmarks/scenes/gallery/camera.json --split test \
	--frames 4 --width 192 --height 108 --noisy 1 --target_spp 64 --denoise_target
DEMO_ROOMS = --seed 7 --frames 7 --width 128 --height 96 --noisy 2 --target_spp 24 --denoise_target
DEMO_TRAINING = --max_epochs -1 --max_time $(DEMO_TIME) --network fast --crop_size 96 --sequence_length 5 \
	--batch_size 2 --samples_per_epoch 120 --ramp_epochs 2 --log_dir runs-demo
DEMO_CHECKPOINT = $$(ls -t runs-demo/*/checkpoints/last.ckpt 2>/dev/null | head -n 1)

.PHONY: help setup browser llvm demo test soak train lint audit bpy

help:
	@echo "make demo                      set up, then denoise a small scene, render rooms, train on them; 10 to 15 minutes"
	@echo "make test                      set up, then run the tests"
	@echo "make soak                      set up, then kill, corrupt and repeat everything many times; an hour"
	@echo "make train DATASET=folder      set up, then train on a dataset; more options of train.py in ARGS='...'"
	@echo "make setup                     set up only"
	@echo "make browser                   get a browser for the tests of the report, which are skipped without; part of make test"
	@echo "make llvm                      get LLVM, with which rendering is several times faster; part of make demo"
	@echo "make lint                      check style and the direction of imports"
	@echo "make bpy                       get Blender as a Python module, for benchmarks/cycles; 400 MB, Python 3.11 or 3.13"
	@echo "make audit                     look for known vulnerabilities in the lowest and the newest supported versions"

$(INSTALLED): requirements.txt $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 10) else "Python 3.10 or newer is needed, this is " + sys.version.split()[0] + "; name another: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt $(CONSTRAINTS:%=-c %)
	@touch $@

setup: $(INSTALLED)

# The system's Chromium, else Debian's where that may be installed, else Playwright's own. Not having one is no error.
browser: $(INSTALLED)
	@command -v chromium chromium-browser google-chrome >/dev/null \
		|| { test "$$(id -u)" = 0 && apt-get update && apt-get install --yes --no-install-recommends chromium; } >/dev/null 2>&1 \
		|| $(VENV)/bin/playwright install chromium-headless-shell >/dev/null 2>&1 \
		|| echo "no browser could be installed: the tests of the report will be skipped"

# One process a core, each with one thread.
test: $(INSTALLED) browser
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses auto --dist worksteal

soak: $(INSTALLED) browser
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest tests/soak --soak --numprocesses auto --dist worksteal $(ARGS)

# Mitsuba's fast variants need LLVM 16 or newer. Not having one is no error: rendering takes longer.
llvm: $(INSTALLED)
	@ldconfig -p 2>/dev/null | grep -qE 'libLLVM(-|\.so\.)(1[6-9]|[2-9][0-9])' \
		|| { test "$$(id -u)" = 0 && apt-get update && apt-get install --yes --no-install-recommends libllvm19; } >/dev/null 2>&1 \
		|| echo "no LLVM could be installed: rendering will take longer"

# Each step continues where it stopped.
demo: $(INSTALLED) llvm
	@echo "== 1 of 4: rendering four frames of a small scene, and denoising them; a minute"
	$(VENV)/bin/python render.py data-demo/first $(DEMO_SCENE)
	$(VENV)/bin/python test.py weights/default.safetensors data-demo/first --output_dir reconstructions-demo/first
	@echo "   noisy, denoised, target: $$(ls reconstructions-demo/first/*/strip.png)"
	@echo "== 2 of 4: rendering four rooms; one to four minutes"
	$(VENV)/bin/python render.py data-demo/rooms --procedural 3 --split train $(DEMO_ROOMS)
	$(VENV)/bin/python render.py data-demo/rooms --procedural 1 --split test $(DEMO_ROOMS)
	@echo "== 3 of 4: training on three of them; $(DEMO_TIME) (days, hours, minutes, seconds)"
	last=$(DEMO_CHECKPOINT); $(VENV)/bin/python train.py data-demo/rooms $(DEMO_TRAINING) $${last:+--checkpoint $$last}
	@echo "== 4 of 4: reconstructing the fourth; half a minute"
	$(VENV)/bin/python test.py $(DEMO_CHECKPOINT) data-demo/rooms --output_dir reconstructions-demo/trained
	$(VENV)/bin/python test.py weights/default.safetensors data-demo/rooms --output_dir reconstructions-demo/released
	@echo "noisy, reconstruction, target: reconstructions-demo/trained/room-7-0000/strip.png and animation.mp4"
	@echo "with the released weights:     reconstructions-demo/released/room-7-0000/strip.png and animation.mp4"
	@echo "the losses in TensorBoard:     $(VENV)/bin/tensorboard --logdir runs-demo"

train: $(INSTALLED)
	@test -n "$(DATASET)" || { echo "name a dataset: make train DATASET=folder (its layout is in README.md)"; exit 2; }
	$(VENV)/bin/python train.py "$(DATASET)" $(ARGS)

lint: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports

# Blender as a Python module has packages for one version of Python each. Another one: make bpy BPY_PYTHON=path/to/python
bpy: .venv-bpy/installed
.venv-bpy/installed:
	@for python in $(or $(BPY_PYTHON),python3.11 python3.13); do \
		"$$python" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 13)))' 2>/dev/null || continue; \
		echo "$$python -m venv .venv-bpy"; \
		"$$python" -m venv .venv-bpy && .venv-bpy/bin/python -m pip install --quiet --disable-pip-version-check bpy \
			&& .venv-bpy/bin/python -c 'import bpy; print("Blender", bpy.app.version_string)' && touch $@; exit; \
	done; echo "Blender's package bpy needs Python 3.11 or 3.13, which is not on the PATH; name one: make bpy BPY_PYTHON=path/to/python3.11"; exit 1

# Fails, too, where the list of vulnerabilities cannot be reached.
audit:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check "pip-audit>=2.7"
	@for versions in constraints/*.txt; do echo $$versions; \
		.venv-audit/bin/pip-audit --strict --no-deps --disable-pip --requirement $$versions || failed=1; done; test -z "$$failed"
