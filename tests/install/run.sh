#!/bin/bash
# Installs the build tree, moves the result (it must not know where it was put), and uses it from a project of its own: by find_package and
# by pkg-config, shared and static.
#
# usage: run.sh CMAKE BUILD_DIR COMPILER VERSION
set -euo pipefail
cmake=$1 build=$2 compiler=$3 version=$4
here=$(cd "$(dirname "$0")" && pwd)

scratch=$(mktemp -d)
memory=${RINGWAY_TEST_DIR:-/dev/shm/ringway-test.$$}
[[ -d $memory ]] || mkdir -m 700 "$memory"
bus=$memory/install.$$
trap 'rm -rf "$scratch" "$bus"; [[ -n ${RINGWAY_TEST_DIR:-} ]] || rmdir "$memory"' EXIT

fail() {
  echo "install test: $*" >&2
  exit 1
}

"$cmake" --install "$build" --prefix "$scratch/first" >"$scratch/log" || { cat "$scratch/log"; fail "cmake --install failed"; }
mv "$scratch/first" "$scratch/moved"
prefix=$scratch/moved
source_dir=$(cd "$here/../.." && pwd)
# A unit must name its program by its whole path.
if grep -rIlF --exclude-dir=systemd -e "$source_dir" -e "$build" -e "$scratch/first" "$prefix"; then fail "the files above name the build machine's directories"; fi
if grep -rIlE '#[[:space:]]*include[[:space:]]*<boost/' "$prefix/include"; then fail "the public headers above need Boost"; fi

[[ $("$prefix/bin/ringway" --version) == *"$version"* ]] || fail "ringway --version does not say $version"

"$cmake" -S "$here" -B "$scratch/build" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$prefix" \
  -DEXPECTED_VERSION="$version" >"$scratch/log" || { cat "$scratch/log"; fail "find_package failed"; }
"$cmake" --build "$scratch/build" >"$scratch/log" || { cat "$scratch/log"; fail "the build against the package failed"; }

PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name ringway.pc)")
export PKG_CONFIG_PATH
libdir=$(pkg-config --variable=libdir ringway)
[[ $(pkg-config --modversion ringway) == "$version" ]] || fail "pkg-config knows another version"
# shellcheck disable=SC2046  # the flags are words
"$compiler" -std=c++20 "$here/main.cpp" -o "$scratch/build/pkg_shared" $(pkg-config --cflags --libs ringway)
# shellcheck disable=SC2046
"$compiler" -std=c++20 "$here/main.cpp" -o "$scratch/build/pkg_static" $(pkg-config --cflags ringway) "$libdir/libringway.a" -pthread

for program in with_shared with_static pkg_shared pkg_static; do
  needs=$(LD_LIBRARY_PATH=$libdir ldd "$scratch/build/$program")
  case $program in
    *_shared) [[ $needs == *"$libdir/libringway.so"* ]] || fail "$program does not use the installed library" ;;
    *) [[ $needs != *libringway* ]] || fail "$program is not static" ;;
  esac
  # A bus each: the greeting must be the one that this program sent.
  output=$(RINGWAY_DIR=$bus LD_LIBRARY_PATH=$libdir timeout 60 "$scratch/build/$program") || fail "$program failed"
  [[ $output == hello ]] || fail "$program printed '$output'"
  rm -rf "$bus"
done
