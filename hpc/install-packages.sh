#!/bin/sh
# install-packages.sh PREFIX: the app's packages in a virtual environment, for images: pinned by hash, without what
# the app never reads (docs/hpc.md has the list), compiled. Needs the lock files in the current folder.
set -eu
prefix=$1
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1

python3 -m venv "$prefix"
pip="$prefix/bin/pip"
"$pip" install -q --no-compile --require-hashes -r requirements-build.lock
"$pip" install -q --no-compile --no-build-isolation --use-pep517 --no-deps --require-hashes -r requirements-dask.lock

"$pip" uninstall -q -y setuptools wheel pip

site=$(echo "$prefix"/lib/python3.*/site-packages)
find "$site" -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
find "$site" -type f \( -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' -o -name '*.c' -o -name '*.h' -o -name '*.a' \) -delete
# Workers of Dask import the app, whose folder the images have in common.
echo /app > "$site/taskglm.pth"

# unchecked-hash: Python does not compare with the source, whose time a container format may change.
"$prefix/bin/python3" -W ignore -m compileall -q -j 0 --invalidation-mode unchecked-hash "$site"
# One time for all files: the image can be rebuilt to the same content.
find "$prefix" -exec touch -h -d @0 {} +
