# densenet.h: `make` is the tour, `make help` lists the rest.

CFLAGS ?= -O2
STRICT = -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wsign-conversion $(if $(CI),-Werror)
JOBS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
export CC

# ---- The tour: get MNIST, train a net on it, show how it learned.

quickstart: mnist build/quickstart ## (default) get MNIST, train a net to 98 %, show the curve
	@echo "running build/quickstart"
	@build/quickstart
	@plots/gnuplot.sh -c plots/curves.gp build/quickstart.tsv build/quickstart.png
	@plots/gnuplot.sh -c plots/curves.gp build/quickstart.tsv
	@echo "saved: build/quickstart.tsv (log), .png (picture), .safetensors (the net)"

picture: quickstart ## the same, and keep the picture for the README
	cp build/quickstart.png docs/curve.png

# ---- Data.

mnist:
	@examples/get_data.sh mnist

data: ## get MNIST and Fashion-MNIST into data/ (or DENSENET_DATA=FOLDER that has them)
	@examples/get_data.sh mnist fashion-mnist

# ---- Programs. -fopenmp where the compiler has it; everything else is plain.

EXAMPLES = $(patsubst %.c,build/%,$(notdir $(wildcard examples/*.c)))

examples: $(EXAMPLES) ## build every program of examples/ into build/

build/%: examples/%.c densenet.h $(wildcard examples/*.h) build/compiler build/openmp
	$(CC) $(CFLAGS) $(openmp) $< -o $@ -lm

openmp = $(shell cat 2>/dev/null build/openmp)
build/openmp: build/compiler
	@printf '#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n' >$@.c
	@if $(CC) -fopenmp $@.c -o $@.out >$@.log 2>&1 && $@.out; then echo -fopenmp; fi >$@

# Rewritten only when the compiler or its flags are others than last time.
build/compiler: always
	@mkdir -p build
	@command -v $(firstword $(CC)) >/dev/null || \
	    { echo "no C compiler '$(CC)': as root, apt-get install gcc libc6-dev"; exit 1; }
	@echo '$(CC) $(CFLAGS)' | cmp -s - $@ || echo '$(CC) $(CFLAGS)' >$@

# ---- Tests. One C program per chapter, with the sanitizers where the compiler has them;
# ---- a line "test flags: ..." in the program replaces them. Then scripts.

TESTS = $(wildcard tests/test_*.sh tests/test_*.pl tests/test_*.py) \
        $(patsubst %.c,build/%,$(wildcard tests/test_*.c))

ifeq ($(MAKECMDGOALS),test)
MAKEFLAGS += -j$(JOBS)
endif

test: $(TESTS) ## get the data, run all tests; TESTS='tests/test_x.sh build/tests/test_y' some
	@command -v prove >/dev/null || \
	    { echo "the tests need perl's harness: as root, apt-get install perl"; exit 1; }
	@examples/get_data.sh mnist fashion-mnist || echo "what needs this data is skipped"
	@tests/run -j $(JOBS) $(TESTS)

build/tests/%: tests/%.c densenet.h $(wildcard tests/*.h) build/compiler build/sanitizers
	@mkdir -p $(@D) && rm -f $@
	-$(CC) -std=c99 $(STRICT) $(test_flags) $< -o $@ -lm

test_flags = $(or $(shell sed -n 's|.*test flags: *\([^*]*\).*|\1|p' $<),-O1 -g $(sanitizers))
sanitizers = $(shell cat 2>/dev/null build/sanitizers)
build/sanitizers: build/compiler
	@echo 'int main(void) { return 0; }' >$@.c
	@flags='-fsanitize=address,undefined -fno-sanitize-recover=all'; \
	if $(CC) $$flags $@.c -o $@.out >$@.log 2>&1 && $@.out; then echo $$flags; fi >$@

# Whatever bytes come, the readers of files must not fall over.
FUZZERS = $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 600

fuzz: $(FUZZERS) ## let clang's fuzzer attack each reader of files (FUZZ_SECONDS=600 each)
	@for program in $(FUZZERS); do \
	    corpus=tests/fuzz/corpus_$${program##*fuzz_}; \
	    mkdir -p build/fuzz/new && echo "$$program $(FUZZ_SECONDS) s" && \
	    $$program -max_total_time=$(FUZZ_SECONDS) -verbosity=0 -timeout=10 \
	        -artifact_prefix=build/fuzz/ build/fuzz/new $$corpus || exit 1; \
	done

build/fuzz/%: tests/fuzz/%.c densenet.h
	@mkdir -p $(@D)
	@command -v clang >/dev/null || { echo "needs clang: as root, apt-get install clang"; exit 1; }
	clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all $< -o $@ -lm

# ---- Measurements, reports, the book.

bench: data ## measure the speed, side by side with every peer that is installed
	@tests/bench/run

determinism: data ## one seed, one checksum: on threads, vector units, compilers, machines
	@tests/determinism

reports: data examples ## redo the five reports: docs/results.md (half an hour on two cores)
	@examples/reports

docs: ## weave the header into a book: build/docs/
	@docs/weave

# ---- Housekeeping.

clean: ## remove what was built
	rm -rf build

distclean: clean ## remove the data too
	rm -rf data

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## */\1\t/p' $(firstword $(MAKEFILE_LIST)) | \
	    awk -F '\t' '{ printf "  make %-12s %s\n", $$1, $$2 }'

.PHONY: quickstart picture mnist data examples test fuzz bench determinism reports docs \
        clean distclean help always
.DELETE_ON_ERROR:
