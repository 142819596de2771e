# A thin front: the build itself is CMake's (CMakePresets.json, cmake/). `make help` lists what there is.
JOBS   ?= $(shell nproc 2>/dev/null || echo 2)
PREFIX ?= /usr/local
RELEASE = build/release

.PHONY: all test train bench install interop format clean help
all: build

.PHONY: build
build:
	@scripts/deps build
	@test -f $(RELEASE)/build.ninja || cmake --preset release -DFW_TESTS=OFF # cmocka is for tests alone
	@cmake --build $(RELEASE) -j $(JOBS) --target fenwicks_product

test:
	@scripts/deps test
	@scripts/test -j $(JOBS)

train: build
	@scripts/train $(RELEASE)/fenwicks

bench: build
	$(RELEASE)/fenwicks bench peak
	$(RELEASE)/fenwicks bench data
	$(RELEASE)/fenwicks bench step

install: build
	cmake --install $(RELEASE) --prefix "$(PREFIX)"

interop: build
	@scripts/interop $(RELEASE)

format:
	@scripts/format

clean:
	rm -rf build

help:
	@echo 'make            build the library and the command in build/release'
	@echo 'make train      ... and train: CIFAR-10 where it is found, else the bundled digits'
	@echo 'make test       every check: gcc, clang with sanitizers, format, analyser'
	@echo 'make bench      speed of this machine, of the input pipeline and of a training step'
	@echo 'make install    into PREFIX=$(PREFIX)'
	@echo 'make interop    exchange files with TensorFlow (installs it from PyPI)'
	@echo 'make format     clang-format over all sources'
	@echo 'make clean      remove build/'
	@echo 'JOBS=$(JOBS) compilers run at once; what is missing is installed first (scripts/deps)'
