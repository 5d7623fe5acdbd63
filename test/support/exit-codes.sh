#!/usr/bin/env bash
# Runs every command of the built executable twenty times (or $1), without and with forced collection, and compares the
# exit codes with those that they should have. Ends with 1 when one differs.
set -uo pipefail
cd "$(dirname "$0")/../.."
runs=${1:-20}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
echo "one two three" >"$folder/text"
ziya=(dist/node/cli.js)
greedy=(--temperature 0 --max-tokens 2)
bad=0

# case CODE ARGUMENTS...: each run is killed after a minute, which is code 124.
case_of() {
  local wanted=$1 codes=""
  shift
  for collection in "" "--expose-gc --gc-interval=200"; do
    codes=""
    for _ in $(seq "$runs"); do
      # shellcheck disable=SC2086
      timeout 60 node $collection "${ziya[@]}" "$@" </dev/null >/dev/null 2>&1
      codes="$codes $?"
    done
    different=$(tr ' ' '\n' <<<"$codes" | grep -vcx "$wanted\|")
    echo "$((runs - different)) of $runs end with $wanted: ziya $* ${collection:+(forced collection)}"
    [ "$different" -eq 0 ] || { bad=1; echo "  codes:$codes"; }
  done
}

case_of 0 doctor
case_of 1 doctor --adapter "no such adapter"
case_of 0 chat "3+4" "${greedy[@]}"
case_of 2 chat "3+4" --context 0
case_of 1 chat "3+4" --model "$folder/none"
case_of 0 generate --prompt "one two" "${greedy[@]}"
case_of 0 logits --tokens 1,2 --out "$folder/logits"
case_of 0 perplexity --file "$folder/text"
case_of 0 convert --model models/ziya-tiny --out "$folder/packed"
case_of 0 verify "$folder/packed"
case_of 1 verify "$folder"
case_of 2 convert
case_of 0 tokenize
case_of 0 detokenize
case_of 0 --version
exit $bad
