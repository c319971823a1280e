#!/bin/sh
# Builds the checker: compiles the proofs that it rests on, extracts the program from them and
# compiles it. Needs coqc (with Flocq), make, and ocamlfind with ocamlopt and zarith.
#
#   checker/build.sh OUTPUT [--without-proofs]
#
# --without-proofs extracts the same program without waiting for the proofs to be checked.
set -eu
output=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cp "$here"/../theory/coq/*.v "$here"/*.ml "$work"
mkdir "$work/float"
cp "$here"/../theory/coq/float/*.v "$work/float"
cd "$work"
coqdep -vos -Q . SortNet ./*.v float/*.v > dependencies
if [ "${2-}" = --without-proofs ]; then
    printf '%%.vos: %%.v\n\tcoqc -q -vos -Q . SortNet $<\ninclude dependencies\n' > rules
    make -s -f rules float/Extract.vos
    coqc -q -vok -Q . SortNet float/Extract.v
else
    printf '%%.vo: %%.v\n\tcoqc -q -Q . SortNet $<\ninclude dependencies\n' > rules
    make -s -f rules float/Extract.vo
fi
# The extracted code has unused parts, about which -w -a is silent.
ocamlfind ocamlopt -w -a -O3 -inline 200 -package unix,zarith -linkpkg \
    numbers.ml extracted.mli extracted.ml main.ml -o sortnet-checker
cd "$OLDPWD"
# In one step, so that there is never half a program at its place.
cp "$work/sortnet-checker" "$output.new"
mv "$output.new" "$output"
