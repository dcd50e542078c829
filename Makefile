# memplug: a plain Makefile. `make help` says what there is.
#
# Objects of one variant live in one directory: build/ (the default), build/sanitize for
# SANITIZE=address,undefined, build/coverage for COVERAGE=1. User CFLAGS come last.

# The one place; tests/lint holds NEWS.md and the packages' changelogs to it (docs/RELEASING.md).
VERSION := 0.2.0

prefix ?= /usr/local
sbindir ?= $(prefix)/sbin
bindir ?= $(prefix)/bin
datadir ?= $(prefix)/share
mandir ?= $(datadir)/man
docdir ?= $(datadir)/doc/memplug
sysconfdir ?= /etc
DESTDIR ?=
INSTALL ?= install
# Which memplugctl is installed: memplugctl-guest has no host's half.
CTL ?= memplugctl

PYTHON ?= /usr/bin/python3
PKG_CONFIG ?= pkg-config
SECONDS ?= 60

ifdef SANITIZE
BUILD ?= build/sanitize
VARIANT_FLAGS := -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer -DMEMPLUG_SANITIZED
endif
ifdef COVERAGE
BUILD ?= build/coverage
VARIANT_FLAGS := --coverage -O0
endif
BUILD ?= build

DEPS := glib-2.0 gio-unix-2.0 json-glib-1.0 libudev libsystemd

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wwrite-strings -Wformat=2 -Wundef
ifdef DEVELOPER
WARNINGS += -Werror
endif

BASE_CPPFLAGS := -D_GNU_SOURCE -DMEMPLUG_VERSION='"$(VERSION)"' -I. -Iagent \
	-DGLIB_VERSION_MIN_REQUIRED=GLIB_VERSION_2_66 -DGLIB_VERSION_MAX_ALLOWED=GLIB_VERSION_2_66 \
	-DG_LOG_DOMAIN='"memplug"'
BASE_CFLAGS := -std=gnu17 -O2 -g -fPIE -fstack-protector-strong $(WARNINGS)
BASE_LDFLAGS := -pie -Wl,-z,relro,-z,now -Wl,--as-needed

# The library is everything but main: the tests link it too.
LIB_SOURCES := \
	$(sort $(wildcard qga-protocol/*.c)) \
	$(sort $(wildcard agent/system/*.c agent/decide/*.c agent/os/*.c)) \
	$(sort $(wildcard agent/engine/*.c agent/front/*.c))
UNIT_TESTS := $(sort $(wildcard tests/unit/test-*.c))
UNIT_SUPPORT := $(filter-out $(UNIT_TESTS),$(sort $(wildcard tests/unit/*.c)))
PROTOCOL_TESTS := $(sort $(wildcard tests/protocol/test_*.py))
VM_TESTS := $(sort $(wildcard tests/vm/test_*.py))
SOAK_TESTS := $(sort $(wildcard tests/vm/soak_*.py)) # too long for check in any form

# memplugctl takes out of the library what tests/lint lets it include: the wire layer, agent/system
# and the daemon's judgement of what is wrong.
CTL_SOURCES := $(sort $(wildcard ctl/*.c))
CTL_OBJECTS := $(CTL_SOURCES:%.c=$(BUILD)/%.o)
MAN_PAGES := $(sort $(wildcard docs/man/*.[1-8]))
# For users; installed side by side, so their links are shortened.
DOC_PAGES := README.md NEWS.md SECURITY.md docs/hosts.md docs/operating.md docs/protocol.md docs/udev.md
# Of these what a host needs, which has no guest's half.
HOST_PAGES := NEWS.md docs/hosts.md docs/protocol.md

LIB_OBJECTS := $(LIB_SOURCES:%.c=$(BUILD)/%.o) $(BUILD)/qga-protocol/memplug-schema.o
SUPPORT_OBJECTS := $(UNIT_SUPPORT:%.c=$(BUILD)/%.o) $(BUILD)/tests/unit/toy-schema.o
UNIT_BINARIES := $(UNIT_TESTS:%.c=$(BUILD)/%)
FUZZ_TARGETS := framer relay session
FUZZ_BINARIES := $(FUZZ_TARGETS:%=$(BUILD)/tests/fuzz/fuzz-%)
C_FILES := $(shell find agent qga-protocol ctl tests -name '*.[ch]' 2>/dev/null | sort)

.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:

ifndef V
Q := @
say = @printf '  %-8s%s\n' $(1) $(2)
else
Q :=
say = @:
endif

.PHONY: all
all: $(BUILD)/memplugd $(BUILD)/memplugctl

# --- what needs packages first: install them, then start again with a make that can see them ---

WRAPPED := check check-unit check-vm check-fresh check-matrix soak demo bench-online bench-unplug bench-prepare
.PHONY: $(WRAPPED) deps
deps:
	$(Q)packaging/install-deps

check: deps
	$(Q)+$(MAKE) --no-print-directory DEVELOPER=1 run-check
check-unit: deps
	$(Q)+$(MAKE) --no-print-directory DEVELOPER=1 run-check-unit
check-vm: deps
	$(Q)+$(MAKE) --no-print-directory run-check-vm
soak: deps
	$(Q)+$(MAKE) --no-print-directory run-soak
bench-online: deps
	$(Q)+$(MAKE) --no-print-directory run-bench-online
bench-prepare: deps
	$(Q)+$(MAKE) --no-print-directory run-bench-prepare
demo: deps
	$(Q)+$(MAKE) --no-print-directory run-demo
bench-unplug: deps
	$(Q)+$(MAKE) --no-print-directory run-bench-unplug
check-matrix: deps
	$(Q)tests/vm/check-matrix
check-fresh: deps
	$(Q)tests/vm/check-fresh

# --- configuration: what pkg-config says, asked once ---

CONFIG_FREE := $(WRAPPED) deps help clean lint format deb dist rpm
ifneq ($(filter-out $(CONFIG_FREE),$(or $(MAKECMDGOALS),all)),)
include $(BUILD)/config.mk
endif

$(BUILD)/config.mk: Makefile
	@mkdir -p $(@D)
	@command -v $(PKG_CONFIG) >/dev/null || { echo "pkg-config is missing; 'make deps' installs what memplug is built with" >&2; exit 1; }
	@$(PKG_CONFIG) --print-errors --exists 'glib-2.0 >= 2.66' 'json-glib-1.0 >= 1.6' 'libudev >= 247' 'libsystemd >= 247' gio-unix-2.0 || \
		{ echo "a library is missing; 'make deps' installs what memplug is built with" >&2; exit 1; }
	@{ echo "DEP_CFLAGS := $$($(PKG_CONFIG) --cflags $(DEPS))"; \
	   echo "DEP_LIBS := $$($(PKG_CONFIG) --libs $(filter-out gio-unix-2.0,$(DEPS)))"; \
	   echo "HAVE_LIBVIRT ?= $$($(PKG_CONFIG) --exists libvirt libvirt-qemu && echo yes || echo no)"; \
	   echo "LIBVIRT_CFLAGS := $$($(PKG_CONFIG) --cflags libvirt 2>/dev/null)"; \
	   echo "CTL_LIBS := $$($(PKG_CONFIG) --libs gio-2.0 json-glib-1.0 libsystemd)"; \
	   echo "dbusdatadir ?= $$($(PKG_CONFIG) --variable=datadir dbus-1 2>/dev/null || echo /usr/share)"; \
	   echo "polkitdir ?= $$($(PKG_CONFIG) --variable=actiondir polkit-gobject-1 2>/dev/null || echo /usr/share/polkit-1/actions)"; \
	   echo "completionsdir ?= $$($(PKG_CONFIG) --variable=completionsdir bash-completion 2>/dev/null || echo /usr/share/bash-completion/completions)"; \
	   echo "udevdir ?= $$($(PKG_CONFIG) --variable=udevdir udev 2>/dev/null || echo /lib/udev)"; \
	   echo "unitdir ?= $$($(PKG_CONFIG) --variable=systemdsystemunitdir systemd 2>/dev/null || echo /lib/systemd/system)"; \
	 } >$@.new && mv $@.new $@

# --- compiling ---

# libvirt is loaded at run time, and only its headers are wanted here.
ifeq ($(HAVE_LIBVIRT),yes)
$(BUILD)/ctl/%.o: BASE_CPPFLAGS += -DMEMPLUG_LIBVIRT $(LIBVIRT_CFLAGS)
$(BUILD)/memplugctl $(BUILD)/memplugctl-guest: CTL_LIBS += -ldl
endif

ALL_CFLAGS = $(BASE_CPPFLAGS) $(DEP_CFLAGS) $(CPPFLAGS) $(BASE_CFLAGS) $(VARIANT_FLAGS) $(CFLAGS)
ALL_LDFLAGS = $(BASE_LDFLAGS) $(VARIANT_FLAGS) $(LDFLAGS)

$(BUILD)/%.o: %.c $(BUILD)/config.mk
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# A schema is data in the tree and tables in the program; memplug-schema.json becomes memplug_schema.
SCHEMA_COMPILER := qga-protocol/compile-schema
$(BUILD)/%-schema.c: %-schema.json $(SCHEMA_COMPILER)
	$(Q)mkdir -p $(@D)
	$(Q)$(PYTHON) $(SCHEMA_COMPILER) $< $(subst -,_,$(*F))_schema >$@

$(BUILD)/%-schema.o: $(BUILD)/%-schema.c
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/libmemplug.a: $(LIB_OBJECTS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/memplugd: $(BUILD)/agent/main.o $(BUILD)/libmemplug.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DEP_LIBS)

$(BUILD)/memplugctl: $(CTL_OBJECTS) $(BUILD)/libmemplug.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CTL_LIBS)

# The guests' memplugctl of a distribution: the linker drops all that ctl/main.c does not name.
$(BUILD)/memplugctl-guest: $(filter-out %/main.o,$(CTL_OBJECTS)) $(BUILD)/ctl/main-guest.o $(BUILD)/libmemplug.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CTL_LIBS)

$(BUILD)/ctl/main-guest.o: ctl/main.c $(BUILD)/config.mk
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -DMEMPLUG_WITHOUT_HOST -MMD -MP -c -o $@ $<

$(UNIT_BINARIES): $(BUILD)/%: $(BUILD)/%.o $(SUPPORT_OBJECTS) $(BUILD)/libmemplug.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -pthread -o $@ $< $(SUPPORT_OBJECTS) $(BUILD)/libmemplug.a $(DEP_LIBS)

-include $(LIB_OBJECTS:.o=.d) $(SUPPORT_OBJECTS:.o=.d) $(UNIT_BINARIES:=.d) $(BUILD)/agent/main.d $(CTL_OBJECTS:.o=.d) $(BUILD)/ctl/main-guest.d

# --- tests: everything speaks TAP, prove adds it up ---

# Guests take most of the time, and each has its own: two tests at once, on two cores.
JOBS ?= 2
PROVE := prove --failures -j$(JOBS) --exec tests/run-test
export MEMPLUG_BUILD := $(BUILD)
export PYTHON

# Before the rules that need them: make expands prerequisites as it reads them.

.PHONY: run-check run-check-unit run-check-vm run-soak run-demo run-bench-online run-bench-unplug run-bench-prepare guest
run-check-unit: lint $(UNIT_BINARIES) $(FUZZ_BINARIES) all
	$(Q)$(PROVE) $(UNIT_BINARIES) tests/fuzz/run $(PROTOCOL_TESTS)

guest: all
	$(Q)tests/vm/build-guest

run-check-vm: guest
	$(Q)$(PROVE) $(VM_TESTS)

run-check: lint $(UNIT_BINARIES) $(FUZZ_BINARIES) $(BUILD)/memplugd guest
	$(Q)$(PROVE) $(UNIT_BINARIES) tests/fuzz/run $(PROTOCOL_TESTS) $(VM_TESTS)

run-soak: $(UNIT_BINARIES) guest
	$(Q)SOAK=1 $(PROVE) $(UNIT_BINARIES) $(PROTOCOL_TESTS) $(VM_TESTS) $(wildcard tests/vm/soak_*.py)

run-bench-online: guest
	$(Q)tests/vm/bench-online

ROUNDS ?= 20
run-bench-unplug: guest
	$(Q)tests/vm/bench-unplug $(ROUNDS)

SIZE ?= 8
FILLS ?= 0 40 80
run-bench-prepare: ROUNDS := $(if $(filter file,$(origin ROUNDS)),9,$(ROUNDS))
run-bench-prepare: guest
	$(Q)tests/vm/bench-prepare $(ROUNDS) $(SIZE) "$(FILLS)"

run-demo: guest
	$(Q)KEEP=$(KEEP) tests/vm/demo

# --- fuzzing: libFuzzer, by clang. `make fuzz SECONDS=600`; a short run is part of the tests ---

FUZZ_SOURCES := tests/unit/session-fixture.c tests/unit/framer-check.c $(wildcard qga-protocol/*.c)
FUZZ_FLAGS := -std=gnu17 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
CLANG ?= clang

$(FUZZ_BINARIES): $(BUILD)/tests/fuzz/%: tests/fuzz/%.c $(FUZZ_SOURCES) $(BUILD)/qga-protocol/memplug-schema.c
	$(call say,FUZZ,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(FUZZ_FLAGS) $(BASE_CPPFLAGS) $(DEP_CFLAGS) -o $@ $< $(FUZZ_SOURCES) \
		$(BUILD)/qga-protocol/memplug-schema.c $(DEP_LIBS)

.PHONY: fuzz
fuzz: $(FUZZ_BINARIES)
	$(Q)SECONDS=$(SECONDS) tests/fuzz/run $(FUZZ_BINARIES)

.PHONY: bench-report
bench-report: $(BUILD)/memplugd
	$(Q)$(PYTHON) tests/bench/bench-report

.PHONY: bench-relay
bench-relay: $(BUILD)/memplugd
	$(Q)$(PYTHON) tests/bench/bench-relay

.PHONY: bench-loop
bench-loop: $(BUILD)/memplugd
	$(Q)$(PYTHON) tests/bench/bench-loop

.PHONY: lint format
lint:
	$(Q)tests/lint

format:
	clang-format -i $(C_FILES)

# --- installing: files only, no service is touched ---

.PHONY: install install-host uninstall
install: install-host $(BUILD)/memplugd
	$(INSTALL) -D -m 0755 $(BUILD)/memplugd $(DESTDIR)$(sbindir)/memplugd
	$(INSTALL) -D -m 0644 udev-rules/39-memplug-online.rules $(DESTDIR)$(udevdir)/rules.d/39-memplug-online.rules
	$(INSTALL) -D -m 0644 udev-rules/99-memplug-port.rules $(DESTDIR)$(udevdir)/rules.d/99-memplug-port.rules
	$(call fill,systemd/memplugd.service.in,$(unitdir)/memplugd.service)
	$(call fill,systemd/memplug-rule.service.in,$(unitdir)/memplug-rule.service)
	$(call fill,systemd/memplug-hooks.service.in,$(unitdir)/memplug-hooks.service)
	$(INSTALL) -d -m 0755 $(DESTDIR)$(sysconfdir)/memplug/unplug.d $(DESTDIR)$(docdir)/examples/unplug.d
	$(INSTALL) -m 0644 docs/examples/unplug.d/* $(DESTDIR)$(docdir)/examples/unplug.d
	$(INSTALL) -D -m 0644 systemd/memplugd.conf $(DESTDIR)$(sysconfdir)/memplug/memplugd.conf
	$(INSTALL) -D -m 0644 packaging/dbus/org.memplug.Agent1.conf \
		$(DESTDIR)$(dbusdatadir)/dbus-1/system.d/org.memplug.Agent1.conf
	$(call fill,packaging/dbus/org.memplug.Agent1.service.in,$(dbusdatadir)/dbus-1/system-services/org.memplug.Agent1.service)
	$(INSTALL) -D -m 0644 packaging/dbus/org.memplug.policy $(DESTDIR)$(polkitdir)/org.memplug.policy
	$(call install-pages,$(MAN_PAGES),$(DOC_PAGES))
	$(INSTALL) -D -m 0644 docs/memhp-movable.cfg $(DESTDIR)$(docdir)/memhp-movable.cfg

# What a host needs: memplugctl and its pages.
install-host: $(BUILD)/$(CTL)
	$(INSTALL) -D -m 0755 $(BUILD)/$(CTL) $(DESTDIR)$(bindir)/memplugctl
	$(INSTALL) -D -m 0644 packaging/completion/memplugctl $(DESTDIR)$(completionsdir)/memplugctl
	$(call install-pages,docs/man/memplugctl.1,$(HOST_PAGES))
	$(INSTALL) -D -m 0644 qga-protocol/memplug-schema.json $(DESTDIR)$(docdir)/memplug-schema.json
	$(INSTALL) -D -m 0644 docs/examples/unplug.py $(DESTDIR)$(docdir)/examples/unplug.py
	$(INSTALL) -D -m 0644 docs/examples/autoscale.py $(DESTDIR)$(docdir)/examples/autoscale.py

# $(call fill,SOURCE,TARGET): a file that names where others are.
fill = $(INSTALL) -d -m 0755 $(DESTDIR)$(dir $2) && \
	sed -e 's,@sbindir@,$(sbindir),' -e 's,@bindir@,$(bindir),' $1 >$(DESTDIR)$2 && chmod 0644 $(DESTDIR)$2
# $(call install-pages,MAN PAGES,DOC PAGES)
define install-pages
	for page in $1; do \
		$(INSTALL) -D -m 0644 $$page $(DESTDIR)$(mandir)/man$${page##*.}/$${page##*/} || exit 1; done
	$(INSTALL) -d -m 0755 $(DESTDIR)$(docdir)
	for page in $2; do \
		sed -e 's,](docs/,](,g' -e 's,](\.\./qga-protocol/,](,g' $$page >$(DESTDIR)$(docdir)/$${page##*/} && \
		chmod 0644 $(DESTDIR)$(docdir)/$${page##*/} || exit 1; done
endef

uninstall:
	rm -f $(DESTDIR)$(sbindir)/memplugd \
		$(DESTDIR)$(udevdir)/rules.d/39-memplug-online.rules \
		$(DESTDIR)$(udevdir)/rules.d/99-memplug-port.rules \
		$(DESTDIR)$(unitdir)/memplugd.service $(DESTDIR)$(unitdir)/memplug-rule.service \
		$(DESTDIR)$(unitdir)/memplug-hooks.service \
		$(DESTDIR)$(bindir)/memplugctl \
		$(DESTDIR)$(dbusdatadir)/dbus-1/system.d/org.memplug.Agent1.conf \
		$(DESTDIR)$(dbusdatadir)/dbus-1/system-services/org.memplug.Agent1.service \
		$(DESTDIR)$(polkitdir)/org.memplug.policy \
		$(DESTDIR)$(completionsdir)/memplugctl \
		$(foreach page,$(MAN_PAGES),$(DESTDIR)$(mandir)/man$(subst .,,$(suffix $(page)))/$(notdir $(page))) \
		$(addprefix $(DESTDIR)$(docdir)/,$(notdir $(DOC_PAGES))) \
		$(DESTDIR)$(docdir)/memplug-schema.json \
		$(DESTDIR)$(docdir)/memhp-movable.cfg $(DESTDIR)$(docdir)/examples/unplug.py $(DESTDIR)$(docdir)/examples/autoscale.py \
		$(addprefix $(DESTDIR)$(docdir)/examples/unplug.d/,$(notdir $(wildcard docs/examples/unplug.d/*)))
	@echo "left in place: $(DESTDIR)$(sysconfdir)/memplug"

# --- what is handed on: the sources of a release, the packages ---

.PHONY: dist deb rpm
dist:
	$(Q)packaging/make-dist $(BUILD)/dist

deb:
	$(Q)packaging/make-deb $(BUILD)

rpm:
	$(Q)packaging/make-rpm $(BUILD)

.PHONY: clean help
clean:
	rm -rf build

help:
	@echo "make demo            show it: a guest boots, gets memory and gives it back (KEEP=1 leaves it up)"
	@echo "make check           every test, ending in prove's summary"
	@echo "make                 build memplugd and memplugctl in build/"
	@echo "make install         install below prefix=$(prefix) (DESTDIR and directories: see README.md)"
	@echo "make dist            the sources of a release, in build/dist/: the same bytes each time"
	@echo "make deb             the Debian packages, in build/deb/"
	@echo "make rpm             RPM packages, by rpmbuild, in build/rpm/"
	@echo "make uninstall       remove what install put there, but not the configuration"
	@echo "make check-unit      the tests that need no guest"
	@echo "make check-vm        the tests in QEMU guests"
	@echo "make check-fresh     both README commands in a minimal Debian root"
	@echo "make check-matrix    full guests of each Debian, with the package built for it (root, long, resumable)"
	@echo "make soak            the long rounds of the same tests"
	@echo "make fuzz            fuzz the wire layer for SECONDS=$(SECONDS) a target"
	@echo "make bench-unplug    a bare device_del against memplug in a busy guest (ROUNDS=20)"
	@echo "make bench-prepare   prepare and cancel against the kernel's own loop (ROUNDS=9 SIZE=8 FILLS='0 40 80')"
	@echo "make bench-online    how soon memory is online: the kernel, udev, qemu-ga, memplugd"
	@echo "make bench-report    answers about 32,768 blocks: memplugd, qemu-ga and lsmem (needs root)"
	@echo "make bench-relay     what a call costs through memplugd, and with qemu-ga alone"
	@echo "make bench-loop      how long a client can make the others wait, by command (needs root)"
	@echo "make lint, format    the tree's rules; clang-format"
	@echo "make deps            install what building and testing need (Debian)"
	@echo "make clean           remove build/"
	@echo "Variables: V=1, DEVELOPER=1, SANITIZE=address,undefined, COVERAGE=1, BUILD=dir, CFLAGS, JOBS=2, ACCEL=kvm"
