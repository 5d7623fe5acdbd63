#!/usr/bin/env bash
# Runs doctor, the benchmarks of kernels and of a whole model, and the comparison with llama.cpp, on a Linux machine (x64)
# with a GPU driver that needs neither Node nor a network. What each prints and its JSON go to results/.
#
#   bash start.sh [--layers N]         N layers of the 13B's width (default 2; 40 are the whole model)
#   bash start.sh node FILE [ARG ...]  runs Node on a file of the bundle, such as dist/node/cli.js
#
# ZIYA_HOME: where it is unpacked (default unpacked/ beside this file); ZIYA_RESULTS: where results go (default results/
# beside this file); ZIYA_BENCH and ZIYA_PEERS: more arguments for the benchmarks and the comparison.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${ZIYA_HOME:-$here/unpacked}
results=${ZIYA_RESULTS:-$here/results}

fail() { echo "start.sh: $*" >&2; exit 1; }

layers=2
if [ "${1:-}" = --layers ]; then
  case ${2:-} in '' | *[!0-9]*) fail "--layers is \"${2:-}\"; wanted a whole number." ;; esac
  layers=$2
  shift 2
fi
if [ $# -gt 0 ] && [ "$1" != node ]; then
  fail "there is no argument \"$1\"; there are --layers N and node FILE."
fi

# A mark is written last, so that a broken unpacking is begun anew.
if [ ! -f "$home/id" ] || [ "$(<"$home/id")" != "$(<"$here/id")" ]; then
  rm -rf "$home" && mkdir -p "$home" || fail "$home cannot be written; set ZIYA_HOME to a folder that can."
  tar -xJf "$here/app.tar.xz" -C "$home" 2>/dev/null ||
    python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$here/app.tar.xz" "$home" ||
    fail "app.tar.xz cannot be unpacked: it needs tar with xz, or python3."
  cp "$here/id" "$home/id"
fi

# Whether one of the files is there.
any() {
  local file
  for file; do [ -e "$file" ] && return; done
  return 1
}

# Whether the dynamic linker finds a library by itself.
has() {
  { ldconfig -p || /sbin/ldconfig -p; } 2>/dev/null | grep -q "[[:space:]]$1 " ||
    any {/usr,}/lib/x86_64-linux-gnu/"$1" {/usr,}/lib64/"$1"
}

# The machine's own libraries come first: its driver may need newer ones than those that came along.
for library in "$home"/lib/*; do
  name=$(basename "$library")
  has "$name" || { mkdir -p "$home/missing" && ln -sf "$library" "$home/missing/$name"; }
done
export LD_LIBRARY_PATH="$home/missing${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/tmp} HOME=${HOME:-/tmp}

# Containers often have NVIDIA's driver without the file that tells the Vulkan loader of it, or in a place of its own.
if [ -z "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] &&
  ! any /etc/vulkan/icd.d/*nvidia*.json /usr/share/vulkan/icd.d/*nvidia*.json; then
  if [ -f /usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json ]; then
    export VK_DRIVER_FILES=/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json
  elif has libGLX_nvidia.so.0; then
    export VK_DRIVER_FILES="$home/nvidia_icd.json"
    printf '{"file_format_version": "1.0.1", "ICD": {"library_path": "libGLX_nvidia.so.0", "api_version": "1.3.0"}}\n' \
      >"$VK_DRIVER_FILES"
  fi
fi

cd "$home" || fail "$home is not there."
if [ "${1:-}" = node ]; then
  shift
  exec ./node "$@"
fi

mkdir -p "$results" || fail "$results cannot be written; set ZIYA_RESULTS to a folder that can."
results=$(cd "$results" && pwd)
failed=0
# step NAME FILE ARG ...: what it prints goes to NAME.log, and the next step runs whatever became of it.
step() {
  local name=$1
  shift
  echo "== $name"
  ./node "$@" 2>&1 | tee "$results/$name.log"
  local code=${PIPESTATUS[0]}
  if [ "$code" -ne 0 ]; then
    echo "== $name ended with exit code $code" >&2
    failed=1
  fi
}

{ date -u; uname -srm; (nvidia-smi || lscpu) 2>/dev/null; } >"$results/machine.txt"
step doctor dist/node/cli.js doctor
./node dist/node/cli.js doctor --json >"$results/doctor.json" 2>/dev/null || true
# The last two are lists of arguments, which are to be split.
step kernels dist/bench/main.js --only kernels --out "$results/kernels.json" ${ZIYA_BENCH:-}
step model dist/bench/main.js --only model --layers "$layers" --out "$results/model.json" ${ZIYA_BENCH:-}
step peers dist/bench/peers/speed.js --layers "$layers" --out "$results/peers.json" ${ZIYA_PEERS:-}
echo "== results are in $results"
exit "$failed"
