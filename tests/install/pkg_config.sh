#!/bin/sh
# Installs into an empty prefix, then builds and runs a program through pkg-config, with the shared and
# with the static library.
# $1: build folder  $2: this folder  $3: cmake  $4: C compiler  $5: expected version
set -eu
prefix="$PWD/a prefix"
rm -rf "$prefix"
"$3" --install "$1" --prefix "$prefix" > install.log
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name fenwicks.pc)")
export PKG_CONFIG_PATH
[ "$(pkg-config --modversion fenwicks)" = "$5" ]
if [ "$(realpath "$(pkg-config --variable=includedir fenwicks | sed 's/\\//g')")" != "$(realpath "$prefix/include")" ]; then
    echo "fenwicks.pc does not point to the prefix it was installed to"
    exit 1
fi
libdir=$(pkg-config --variable=libdir fenwicks | sed 's/\\//g') # blanks are quoted

# what the system's libraries are built with need not be there for the shared one
# (eval: what pkg-config prints is quoted for a shell)
eval '"$4" "$2/consumer.c" -o shared' "$(PKG_CONFIG_LIBDIR=$PKG_CONFIG_PATH pkg-config --cflags --libs fenwicks)"
[ "$(LD_LIBRARY_PATH=$libdir ./shared)" = "fenwicks $5" ]

# Ours static, the system's libraries shared: `pkg-config --static` would ask for static ones all the way
# down, which few systems have, and would find libfenwicks.so first.
[ "$(pkg-config --modversion fenwicks-static)" = "$5" ]
eval '"$4" "$2/consumer.c" -o static' "$(pkg-config --cflags --libs fenwicks-static)"
[ "$(./static)" = "fenwicks $5" ]
if ldd static | grep -q libfenwicks; then
    echo "fenwicks-static links the shared library"
    exit 1
fi

if [ -x "$prefix/bin/fenwicks" ]; then
    "$prefix/bin/fenwicks" --version | grep -q "$5"
fi
echo "installed, found, built and run through pkg-config"
