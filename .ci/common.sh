# Shared by .ci/image, .ci/containers and .ci/cluster.
step() { printf '%4ds  -- %s\n' "$SECONDS" "$*"; }
skip() { printf '      SKIPPED: %s\n' "$*"; }
fail() { printf '      FAULT: %s\n' "$*" >&2; exit 1; }

# Checksums of everything that must be the same in every run: not the logs, not the reports with their times, not
# the description with its links to where the input was.
checksums() {
  (cd "$1" && find . -type f ! -path './logs/*' ! -name '*.html' ! -name dataset_description.json | sort | xargs sha256sum)
}
same_bytes() {
  diff <(checksums "$1") <(checksums "$2") >"$cache/differences.txt" ||
    { head -n 20 "$cache/differences.txt" >&2; fail "$3"; }
  echo "      $(checksums "$1" | wc -l) files, the same bytes"
}
