#!/bin/sh
# install-app.sh PREFIX APP: compile the app in folder APP, and fill the caches that it takes along at every start:
# kernels for the levels of processors that this one has (x86-64-v3 and -v4; for others they are compiled at the first
# use).
set -eu
prefix=$1 app=$2
caches=$prefix/share/taskglm/caches
python="$prefix/bin/python3 -EsB"

# Before the kernels: numba keeps the time of their source. Whole seconds survive in every container format.
find "$app" -exec touch -h -d @0 {} +
$python -m compileall -q --invalidation-mode unchecked-hash "$app"

scratch=$(mktemp -d)
cd "$app"
$python -c "
from bidsapp.demo import make_demo
make_demo('$scratch/data', n_subjects=6, voxel_size_mm=8.0, n_volumes=40)"
for level in $($python -c '
from bidsapp.job.environment import LEVELS, find_processor_level
print(*list(LEVELS)[list(LEVELS).index(find_processor_level()):] if find_processor_level() else ())'); do
  echo "compiling kernels for $level"
  export NUMBA_CACHE_DIR=$caches/$level NUMBA_CPU_NAME=$level NUMBA_CPU_FEATURES=
  $python run.py "$scratch/data" "$scratch/$level" participant group --quiet --n-permutations 64 --n-cpus 1
done
rm -rf "$scratch"
find "$app" "$prefix/share" -exec touch -h -d @0 {} +
