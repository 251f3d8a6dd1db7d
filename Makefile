# The front door. `make help` lists what there is; the build itself is in meson.build.
.POSIX:
.SUFFIXES:
.PHONY: help build deps demo check analyze check-long check-install packages bench fuzz fmt fmt-check cov \
	install clean

build: build/build.ninja
	@tools/web
	@ninja -C build

help:
	@echo 'make              build build/wharf and build/wharf-demo-model'
	@echo 'make demo         install what is missing, build, run the demo (ONCE=1 PORT=8080)'
	@echo 'make check        install what is missing, build, run every test (within 20 minutes)'
	@echo 'make analyze      clang-tidy and cppcheck over src/, and the daemon under ThreadSanitizer'
	@echo 'make check-long   the whole suite under sanitizers and valgrind, and fuzzing'
	@echo 'make fuzz         10 minutes of CPU for each fuzz target (MINUTES=10 JOBS= TARGETS=)'
	@echo 'make packages     Debian packages and a Python wheel, in build/packages'
	@echo 'make check-install  install them into fresh Debian 12 and 13 systems, and use them there (root)'
	@echo 'make bench        measure against nginx; writes bench/results.md'
	@echo 'make fmt          format the C files;  make fmt-check  only look'
	@echo 'make cov          what the unit tests cover of src/core: a table, and a page in build-cov/core/'
	@echo 'make install      PREFIX=/usr/local DESTDIR='
	@echo 'make clean        remove what was built; the packages of the tests stay'

build/build.ninja:
	@meson setup build

demo:
	@tools/deps build
	@$(MAKE) build
	@tools/demo $${ONCE:+--once} $${PORT:+--port "$$PORT"}

check:
	@tools/deps build test
	@tools/check

analyze:
	@tools/deps build test analyze
	@tools/check --beside

check-long:
	@tools/deps build test analyze long
	@tools/check --long

fuzz:
	@tools/deps build test long
	@tools/fuzz --cpu-minutes "$${MINUTES:-10}" $${JOBS:+--jobs "$$JOBS"} $${TARGETS:+--targets "$$TARGETS"}

packages:
	@tools/deps build package
	@tools/package deb
	@tools/package wheel

check-install: packages
	@tools/test-install

bench:
	@tools/deps build bench
	@$(MAKE) build
	@bench/run

fmt:
	@tools/fmt --fix

fmt-check:
	@tools/fmt

cov:
	@tools/deps build test cov
	@tools/cov

install: build
	@meson configure build --prefix "$${PREFIX:-/usr/local}"
	@meson install -C build

clean:
	@rm -rf build-*
	@test ! -d build || find build -mindepth 1 -maxdepth 1 ! -name venv ! -name node ! -name web -exec rm -rf {} +
