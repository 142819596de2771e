#!/bin/sh
# The shared library exports the functions that its headers declare, and nothing else.
# $1: libfenwicks.so  $2: the declared names, one per line
set -eu
nm -D --defined-only "$1" | awk '{print $NF}' | sed 's/@.*//' | sort -u > exported.txt
sort -u "$2" > declared.txt
if [ ! -s declared.txt ]; then
    echo "no declared functions found"
    exit 1
fi
extra=$(comm -13 declared.txt exported.txt)
missing=$(comm -23 declared.txt exported.txt)
[ -z "$extra" ] || echo "exported but in no public header:" $extra
[ -z "$missing" ] || echo "declared but not exported:" $missing
[ -z "$extra$missing" ] || exit 1
echo "$(wc -l < exported.txt) functions exported"
