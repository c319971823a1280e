#!/usr/bin/env bash
# aarch64_python.sh FOLDER: Debian's Python for aarch64 and what the kernel tests import, unpacked into
# FOLDER/root and FOLDER/site. Nothing is installed on this machine but the name of the architecture.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
packages=(libbz2-1.0 libc6 libexpat1 libffi8 libgcc-s1 liblzma5 libpython3.11-minimal
  libpython3.11-stdlib libssl3 libstdc++6 libsqlite3-0 libuuid1 python3.11-minimal zlib1g)
mkdir -p "$folder/debs" "$folder/root" "$folder/site"
if ! dpkg --print-foreign-architectures | grep -qx arm64; then
  dpkg --add-architecture arm64
  apt-get update -qq
fi
(cd "$folder/debs" && apt-get download -qq "${packages[@]/%/:arm64}")
for package in "$folder"/debs/*.deb; do dpkg -x "$package" "$folder/root"; done
python3 -m pip install -q --target "$folder/site" --no-deps --only-binary :all: --python-version 3.11 \
  --platform manylinux_2_28_aarch64 --platform manylinux2014_aarch64 \
  flatbuffers hypothesis iniconfig ml_dtypes numpy onnx onnxruntime packaging pluggy protobuf \
  pygments pytest pytest-timeout sortedcontainers typing_extensions
qemu-aarch64 -L "$folder/root" "$folder/root/usr/bin/python3.11" --version
