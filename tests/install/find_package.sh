#!/bin/sh
# Installs into an empty prefix, then builds and runs programs through find_package(fenwicks).
# $1: build folder  $2: this folder  $3: cmake  $4: C compiler  $5: expected version
set -eu
prefix=$PWD/prefix
rm -rf "$prefix" build
"$3" --install "$1" --prefix "$prefix" > install.log
"$3" -S "$2" -B build -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$4" > configure.log
"$3" --build build > build.log
[ "$(build/consumer_fenwicks)" = "fenwicks $5" ]
[ "$(build/consumer_fenwicks_static)" = "fenwicks $5" ]
echo "installed, found, built and run through find_package"
