#!/bin/sh
# Builds the checker: compiles the proofs that it rests on, extracts the program from them and
# compiles it. Needs coqc (with Flocq), make, and ocamlfind with ocamlopt and zarith.
#
#   checker/build.sh OUTPUT
set -eu
output=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cp "$here"/../theory/coq/*.v "$here"/*.ml "$work"
mkdir "$work/float"
cp "$here"/../theory/coq/float/*.v "$work/float"
cd "$work"
coqdep -Q . SortNet ./*.v float/*.v > dependencies
printf '%%.vo: %%.v\n\tcoqc -q -Q . SortNet $<\ninclude dependencies\n' > rules
make -s -f rules float/Extract.vo
# The extracted code has unused parts, about which -w -a is silent.
ocamlfind ocamlopt -w -a -O3 -inline 200 -package unix,zarith -linkpkg \
    numbers.ml extracted.mli extracted.ml main.ml -o sortnet-checker
cd "$OLDPWD"
# In one step, so that there is never half a program at its place.
cp "$work/sortnet-checker" "$output.new"
mv "$output.new" "$output"
