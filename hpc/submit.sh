#!/bin/bash
# submit.sh BIDS OUT IMAGE [options of the app]
# Submits one array of participants, then the group job, which waits for all of them; prints both ids.
# Again with the same arguments: only the participants that are missing or failed are submitted.
#   SBATCH_ACCOUNT, SBATCH_PARTITION, SBATCH_TIMELIMIT ...   as sbatch reads them
#   PARTICIPANT_SBATCH, GROUP_SBATCH    more arguments of sbatch, e.g. "--mem=8G --time=4:00:00"
#   MAX_RUNNING                         tasks at the same time (default: as Slurm allows)
#   PER_TASK                            participants in one task, one after another (default: 1)
#   TASKGLM_BIND, APPTAINER_OPTIONS, APPTAINER   as in participant.sbatch
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 64; }
here=$(cd "$(dirname "$0")" && pwd)
bids=$(realpath "$1") out=$(realpath -m "$2") image=$(realpath "$3")
shift 3
mkdir -p "$out/logs/slurm"

name=taskglm-$(printf %s "$out" | cksum | cut -d ' ' -f 1)
if [ -n "$(squeue --noheader --user "$(id -un)" --name "$name")" ]; then
  echo "jobs for $out are still queued or running (squeue --name $name): wait for them, or scancel --name $name" >&2
  exit 1
fi

list=$out/logs/slurm/$(date +%Y%m%dT%H%M%S)-$$.txt
# shellcheck disable=SC2086  # APPTAINER_OPTIONS is a list of arguments
"${APPTAINER:-apptainer}" --quiet run --containall ${APPTAINER_OPTIONS-} \
  --bind "$bids:$bids:ro,$out:$out${TASKGLM_BIND:+,$TASKGLM_BIND}" "$image" \
  "$bids" "$out" participant --list-participants=unfinished --quiet "$@" |
  xargs -r -n "${PER_TASK:-1}" >"$list"

# Slurm has a longest array; what does not fit goes into further ones.
longest=$(scontrol show config | awk '$1 == "MaxArraySize" { print $3 - 1 }')
total=$(wc -l <"$list") ids=()
for ((first = 1; first <= total; first += longest)); do
  part=$list
  if ((total > longest)); then
    part=${list%.txt}-$first.txt
    sed -n "$first,$((first + longest - 1))p" "$list" >"$part"
  fi
  # shellcheck disable=SC2086  # PARTICIPANT_SBATCH is a list of arguments
  ids+=("$(sbatch --parsable --job-name="$name" --output="$out/logs/slurm/%x-%A_%a.log" \
    --array="1-$(wc -l <"$part")${MAX_RUNNING:+%$MAX_RUNNING}" ${PARTICIPANT_SBATCH-} \
    "$here/participant.sbatch" "$part" "$bids" "$out" "$image" "$@" | cut -d ';' -f 1)")
done
after=()
if ((total)); then
  after=(--dependency="afterok:$(IFS=:; echo "${ids[*]}")" --kill-on-invalid-dep=yes)
fi
# shellcheck disable=SC2086
group=$(sbatch --parsable --job-name="$name" --output="$out/logs/slurm/%x-group-%j.log" "${after[@]}" ${GROUP_SBATCH-} \
  "$here/group.sbatch" "$bids" "$out" "$image" "$@" | cut -d ';' -f 1)
echo "participants: ${ids[*]:-none missing} ($(wc -w <"$list") to do)"
echo "group: $group"
