# shale: build container images. `make help` lists the targets.
#
#   MODE=asan|tsan|valgrind   another kind of build, under out/MODE/
#   V=1                       shows the commands
#   WERROR=1                  warnings are errors (CI)
#   ISAL=                     without isa-l
#   CRYPTO=-lcrypto           libcrypto as a shared library
#   OUT=dir                   where compiled things go (default: out, or out/MODE)

MODE ?=
OUT ?= out$(if $(MODE),/$(MODE))
PREFIX ?= /usr/local
DESTDIR ?=
ifeq ($(origin CC),default)
CC := gcc
endif
PKG_CONFIG ?= pkg-config
CLANG_FORMAT ?= $(shell command -v clang-format-14 || echo clang-format)
Q := $(if $(V),,@)

# Lowest first; a folder may use those it names (see check-deps).
FOLDERS := base dockerfile image store remote exec cache engine cmd
USES_base :=
USES_dockerfile := base
USES_image := base
USES_store := base image
USES_remote := base image
USES_exec := base image store
USES_cache := base image dockerfile store remote
USES_engine := base image dockerfile store remote exec cache
USES_cmd := base image dockerfile store remote exec cache engine

PACKAGES := jansson libxxhash libzstd sqlite3 zlib
# Headers to build with. libarchive and libcurl are loaded when they are first needed (base/dynlib.h). Of libcrypto SHA-2
# is used, at every start: it comes out of the archive where there is one, since loading the whole library takes longer
# than all else that comes before the work.
HEADERS := libarchive libcrypto libcurl
CRYPTO = $(or $(filter /%,$(shell $(CC) -print-file-name=libcrypto.a)),$(shell $(PKG_CONFIG) --libs libcrypto))
# isa-l deflates and inflates some times faster than zlib; taken when it is there (ISAL= builds without it).
ISAL := $(shell $(PKG_CONFIG) --exists libisal 2>/dev/null && echo libisal)

WARN := -Wall -Wextra -Wshadow -Wundef -Wvla -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes \
	-Wold-style-definition -Wpointer-arith -Wwrite-strings -Wcast-qual -Wimplicit-fallthrough
ifeq ($(findstring clang,$(shell $(CC) --version 2>/dev/null | head -n 1)),)
WARN += -Wno-format-truncation
endif
WARN += $(if $(WERROR),-Werror)

OPT_ := -O2 -g -D_FORTIFY_SOURCE=3
OPT_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT_tsan := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
OPT_valgrind := -O1 -g
OPT := $(OPT_$(MODE))
SAN := $(filter -fsanitize=%,$(OPT))

CFLAGS ?=
VERSION := $(shell cat VERSION 2>/dev/null || echo 0.0.0)
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -I. $(WARN) $(OPT) -fno-common -fstack-protector-strong \
	-DSHALE_VERSION='"$(VERSION)"' $(if $(ISAL),-DHAVE_ISAL) \
	$(shell $(PKG_CONFIG) --cflags $(PACKAGES) $(HEADERS) $(ISAL) 2>/dev/null) -pthread $(CFLAGS)
LIBS = $(shell $(PKG_CONFIG) --libs $(PACKAGES) $(ISAL) 2>/dev/null) $(CRYPTO) -ldl -pthread
# libarchive: a test writes with it what shale only reads.
TEST_LIBS = $(shell $(PKG_CONFIG) --libs cmocka 2>/dev/null) -Wl,--as-needed $(shell $(PKG_CONFIG) --libs libarchive 2>/dev/null) -Wl,--no-as-needed

src = $(wildcard $(1)/*.c)
obj = $(patsubst %.c,$(OUT)/obj/%.o,$(call src,$(1)))
lib = $(OUT)/lib$(1).a
# The archives a folder's tests link, highest first.
closure = $(foreach f,$(1) $(USES_$(1)),$(call lib,$(f)))

UNIT := $(patsubst tests/unit/%.c,$(OUT)/unit/%,$(wildcard tests/unit/test_*.c))

.DEFAULT_GOAL := all
.SECONDARY:

## all: build out/shale
all: $(OUT)/shale

$(OUT)/shale: $(OUT)/obj/cmd/main.o $(foreach f,$(FOLDERS),$(call lib,$(f)))
	@echo "  LD    $@"
	$(Q)$(CC) $(SAN) -o $@ $< -Wl,--whole-archive $(foreach f,$(FOLDERS),$(call lib,$(f))) -Wl,--no-whole-archive $(LDFLAGS) $(LIBS)

define FOLDER_RULE
$(call lib,$(1)): $(call obj,$(1))
	@mkdir -p $$(@D)
	$(Q)rm -f $$@; ar rcs $$@ $$(filter-out %/cmd/main.o,$$^)
endef
$(foreach f,$(FOLDERS),$(eval $(call FOLDER_RULE,$(f))))

# What was compiled by another compiler, with other flags or without isa-l is compiled again.
$(OUT)/flags: FORCE
	@$(PKG_CONFIG) --print-errors --exists $(PACKAGES) $(HEADERS) || { \
		echo "what building needs is not here: 'make deps' installs it, 'tests/setup.sh list build' names it"; exit 1; }
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(CC) $(filter-out -Werror,$(ALL_CFLAGS)))' >$@.new
	@if cmp -s $@.new $@; then rm -f $@.new; else mv $@.new $@; fi

$(OUT)/obj/%.o: %.c $(OUT)/flags
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# tests/unit/test_FOLDER_WHAT.c links FOLDER and what FOLDER may use.
.SECONDEXPANSION:
$(OUT)/unit/test_%: $(OUT)/obj/tests/unit/test_%.o $$(call closure,$$(firstword $$(subst _, ,$$*)))
	@mkdir -p $(@D)
	@echo "  LD    $@"
	$(Q)$(CC) $(SAN) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDFLAGS) $(TEST_LIBS) $(LIBS)

# tests/fuzz/fuzz_FOLDER_WHAT.c, as above; tests/fuzz/run.sh gives the compiler and its flags.
$(OUT)/fuzz/fuzz_%: $(OUT)/obj/tests/fuzz/fuzz_%.o $$(call closure,$$(firstword $$(subst _, ,$$*)))
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDFLAGS) $(LIBS)

# The same without a fuzzer, for inputs that are kept.
$(OUT)/replay/fuzz_%: $(OUT)/obj/tests/fuzz/fuzz_%.o $(OUT)/obj/tests/fuzz/replay.o $$(call closure,$$(firstword $$(subst _, ,$$*)))
	@mkdir -p $(@D)
	$(Q)$(CC) $(SAN) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDFLAGS) $(LIBS)

-include $(shell find $(OUT)/obj -name '*.d' 2>/dev/null)

## unit: run the unit tests (T=store_blob for one file, K='commit_*' for cases of it)
unit: $(if $(T),$(OUT)/unit/test_$(T),$(UNIT))
	$(Q)MODE=$(MODE) tests/run-unit.sh "$(K)" $^

## test: everything: installs the packages it lacks (SETUP=no: does not), builds, runs all tests
test:
	$(Q)$(if $(filter no,$(SETUP)),true,tests/setup.sh build test)
	$(Q)+MODE=$(MODE) OUT=$(OUT) tests/run-all.sh

## test-cli: run the golden-file tests of the command line (T=build/nosuch*, JOBS=1, KEEP=1, UPDATE=1)
test-cli: $(OUT)/shale
	$(Q)SHALE=$(OUT)/shale T='$(T)' tests/run-cli.sh

## test-e2e: run the end-to-end tests (T=cache or T=cache/edit*, JOBS=1, KEEP=1)
test-e2e: $(OUT)/shale
	$(Q)SHALE=$(OUT)/shale SHALE_TEST_DIR=$(OUT)/e2e T='$(T)' tests/run-e2e.sh

## truth: random edits, with what is known and without (EDITS=5000, SEED=1; BATCH=3: only this part of it)
truth: $(OUT)/shale
	$(Q)SHALE=$(OUT)/shale SHALE_TEST_DIR=$(OUT)/truth T=truth TEST_TIMEOUT=86400 TRUTH_EDITS='$(or $(EDITS),5000)' \
		TRUTH_SEED='$(SEED)' TRUTH_BATCH='$(BATCH)' tests/run-e2e.sh

## trace-truth: what steps are reused for against untraced runs (COMMANDS=36 of each edit, EDITS=40, SEED=1; 0: all)
trace-truth: $(OUT)/shale
	$(Q)SHALE=$(OUT)/shale SHALE_TEST_DIR=$(OUT)/trace-truth T=trace_truth TEST_TIMEOUT=86400 TRACE_COMMANDS='$(or $(COMMANDS),0)' \
		TRACE_EDITS='$(or $(EDITS),0)' TRACE_SEED='$(SEED)' tests/run-e2e.sh

## conformance: run shale over test data of others (CORPORA=DIR holds it, N="01 05": only these)
CORPORA ?= ../shared/corpora
conformance: $(OUT)/shale
	$(Q)SHALE=$(OUT)/shale tests/conformance/run.sh '$(CORPORA)' $(N)

## demo: build a small service three times and run it; installs the packages it lacks (SETUP=no: does not)
demo:
	$(Q)$(if $(filter no,$(SETUP)),true,tests/setup.sh build demo)
	$(Q)+$(MAKE) --no-print-directory -j$$(nproc) all
	$(Q)SHALE=$(abspath $(OUT)/shale) examples/demo.sh

## bench: time rebuilds, observed steps, pulls and deliveries, beside Docker when DOCKER_HOST, DOCKER_GRAPH and DOCKER_CTRD name engines (RUNS=7, FILES=2000, MANY=50000)
bench: $(OUT)/shale $(OUT)/bench-tools/stat_walk
	$(Q)SHALE=$(OUT)/shale STAT_WALK=$(OUT)/bench-tools/stat_walk tests/bench/rebuild.sh
	$(Q)SHALE=$(OUT)/shale tests/bench/precise.sh
	$(Q)SHALE=$(OUT)/shale tests/bench/pull.sh
	$(Q)SHALE=$(OUT)/shale tests/bench/deliver.sh

$(OUT)/bench-tools/%: tests/bench/%.c $(OUT)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $<

## deps: install the packages that building, testing and the demo need
deps:
	$(Q)tests/setup.sh build test demo

## install: put shale under DESTDIR and PREFIX
install: $(OUT)/shale
	install -D -m 755 $(OUT)/shale $(DESTDIR)$(PREFIX)/bin/shale

## uninstall: take away what install put there
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/shale

## fuzz-smoke: run each fuzz target for SECONDS_EACH seconds (needs clang; T=dockerfile_parse, LONGER=60)
fuzz-smoke:
	$(Q)T='$(T)' tests/fuzz/run.sh $(or $(SECONDS_EACH),30)

## replay: give each fuzz target the inputs that are kept in tests/data/fuzz, without a fuzzer
REPLAY := $(patsubst tests/fuzz/%.c,$(OUT)/replay/%,$(wildcard tests/fuzz/fuzz_*.c))
replay: $(REPLAY)
	$(Q)tests/fuzz/replay.sh $^

## analyze: what gcc -fanalyzer says of the sources; to be read, it has false reports in constructors
analyze:
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) OUT=out/analyze CFLAGS='$(CFLAGS) -fanalyzer' all

## tidy: what clang-tidy says of the sources; to be read
tidy:
	$(Q)clang-tidy --quiet \
		--checks='-*,bugprone-*,clang-analyzer-*,portability-*,performance-*,-bugprone-easily-swappable-parameters,-bugprone-reserved-identifier,-clang-analyzer-security.insecureAPI.*' \
		$(foreach f,$(FOLDERS),$(wildcard $(f)/*.c)) -- $(ALL_CFLAGS)

## check-deps: a folder includes only from the folders it may
check-deps:
	$(Q)tests/check-deps.sh $(foreach f,$(FOLDERS),"$(f):$(USES_$(f))")

## check-headers: every header compiles alone
check-headers:
	$(Q)for h in $(foreach f,$(FOLDERS),$(wildcard $(f)/*.h)); do \
		$(CC) $(ALL_CFLAGS) -fsyntax-only -x c $$h || exit 1; done

## format: put the sources into clang-format's form
format:
	$(Q)$(CLANG_FORMAT) -i $(wildcard $(foreach f,$(FOLDERS) tests/unit tests/fuzz tests/bench,$(f)/*.[ch]))

## format-check: fail when format would change something
format-check:
	$(Q)$(CLANG_FORMAT) --dry-run -Werror $(wildcard $(foreach f,$(FOLDERS) tests/unit tests/fuzz tests/bench,$(f)/*.[ch]))

## clean: remove out/ (what the demo made as root needs root)
clean:
	$(Q)rm -rf out 2>/dev/null || sudo rm -rf out

## help: this list
help:
	@sed -n 's/^## \([a-z0-9-]*\): /\1\t/p' $(MAKEFILE_LIST) | sort | awk -F'\t' '{ printf "  %-16s %s\n", $$1, $$2 }'
	@sed -n 's/^#   \([A-Z]*=\)/  \1/p' $(firstword $(MAKEFILE_LIST))

.PHONY: FORCE all unit test test-cli test-e2e truth trace-truth conformance demo bench deps install uninstall fuzz-smoke replay analyze tidy check-deps check-headers \
	format format-check clean help
