#!/bin/sh
# install-app.sh PREFIX APP: compile the app in folder APP, and fill the caches that it takes along at every start:
# compiled kernels (for any processor: NUMBA_CPU_NAME=generic) and matplotlib's list of fonts.
set -eu
prefix=$1 app=$2
caches=$prefix/share/taskglm/caches
python="$prefix/bin/python3 -EsB"

# Before the kernels: numba keeps the time of their source. Whole seconds survive in every container format.
find "$app" -exec touch -h -d @0 {} +
$python -m compileall -q --invalidation-mode unchecked-hash "$app"
mkdir -p "$caches"
MPLCONFIGDIR=$caches $python -c 'import matplotlib.font_manager'

scratch=$(mktemp -d)
(cd "$app" && $python -c "
from bidsapp.demo import make_demo
make_demo('$scratch/data', n_subjects=4, voxel_size_mm=8.0, n_volumes=40)")
export NUMBA_CACHE_DIR=$caches NUMBA_CPU_NAME=generic
$python "$app/run.py" "$scratch/data" "$scratch/out" participant group --quiet --n-permutations 16 --alpha 0.2
rm -rf "$scratch"
find "$app" "$prefix/share" -exec touch -h -d @0 {} +
