# presence: a PostgreSQL extension.
#
# make            builds for the PostgreSQL of PG_CONFIG
# make help       lists the targets

EXTENSION = presence
MODULE_big = presence
OBJS = $(patsubst %.c,%.o,$(wildcard src/*.c))
DATA = $(wildcard sql/presence--*.sql)
SHLIB_LINK = -lcrypto

REGRESS = $(patsubst test/sql/%.sql,%,$(wildcard test/sql/*.sql))
REGRESS_OPTS = --inputdir=test --load-extension=presence
# The other ones write into the table of connections, which is empty on a server that preloads:
# make test runs them on one that does not.
ISOLATION = iso-capacity iso-close iso-drop iso-forget iso-join iso-skip iso-tab
ISOLATION_OPTS = --inputdir=test --load-extension=presence

# Warnings are errors; the server's headers are not ours (-isystem). WERROR= builds all the same.
PG_CONFIG ?= pg_config
WERROR ?= -Werror
PG_CPPFLAGS := -isystem $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)
PG_CFLAGS = -Wall -Wextra $(WERROR)
ifneq (,$(findstring clang,$(CC)))
PG_CFLAGS += -Wno-unknown-warning-option -Wno-ignored-optimization-argument
endif

PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq (,$(wildcard $(PGXS)))
include $(PGXS)
else
all install installcheck clean:
	echo "PostgreSQL's headers are missing: install postgresql-server-dev-NN, or set PG_CONFIG" >&2
	exit 1
endif

# What changes a header changes all.
$(OBJS) $(OBJS:.o=.bc): $(wildcard src/*.h)

# V=1 shows the commands.
ifneq ($(V),1)
.SILENT:
endif

.PHONY: demo demo-sql test soak test-packages coverage mutations bench lint format deb dist help

demo:
	scripts/demo

demo-sql:
	scripts/demo-sql

test:
	scripts/test

MINUTES ?= 30
SEED ?= 1

soak:
	test/chaos/run --minutes $(MINUTES) --seed $(SEED)

coverage:
	scripts/coverage

mutations:
	test/mutations

test-packages:
	test/packages
	test/dist
	packages/presence-react/scripts/test

deb:
	scripts/deb

dist:
	scripts/dist

bench:
	bench/run

lint:
	scripts/lint

format:
	clang-format -i src/*.c src/*.h

help:
	echo 'make               build the extension'
	echo 'make install       install it into the PostgreSQL of PG_CONFIG'
	echo 'make installcheck  test it on a running server of that PostgreSQL'
	echo 'make demo          the reading app with the gateway, on a private PostgreSQL'
	echo 'make demo-sql      the same in psql: joins, tabs, leases, events'
	echo 'make test          all tests, on private PostgreSQLs'
	echo 'make soak          chaos for MINUTES (30), from SEED (1) on'
	echo 'make coverage      which lines of src/ and gateway/src/ the tests run'
	echo 'make mutations     whether the tests notice when a line that matters is broken'
	echo 'make deb           Debian packages, in DEB_OUT (build/deb)'
	echo 'make dist          the zip for PGXN, of the last commit, in DIST_OUT (build)'
	echo 'make test-packages the packages in a fresh Debian: installed, used, upgraded, purged; and the others (as root)'
	echo 'make bench         speed, beside what one would do instead (QUICK=1: less of it)'
	echo 'make lint          what compilers and checkers say of the code'
	echo 'make format        lay out the C code'
