# needs.sh: looks for all that scripts/gpu-check needs, before anything is done: a GPU, and for a build what builds; unpacks
# packages that were brought. Sourced by scripts/gpu-check.
#
#   look_for_all          ends the script, with a line for each thing, where something is missing
#   gpu PROPERTY          one that nvidia-smi knows of this GPU
#   cap arch toolkit      its compute capability, what to build for, the toolkit's folder or nothing

has() { command -v "$1" > /dev/null 2>&1; }
# CUDA counts the GPUs that it may see, by bus as nvidia-smi does if it is told so; nvidia-smi counts all.
export CUDA_DEVICE_ORDER=PCI_BUS_ID
smi_id() { # what nvidia-smi calls the GPU number $index; fails where CUDA may see none of that number
    local seen=${CUDA_VISIBLE_DEVICES-} all
    [ -n "${CUDA_VISIBLE_DEVICES+set}" ] || { echo "$index" && return; }
    IFS=, read -ra all <<< "$seen"
    [ -n "${all[index]-}" ] && echo "${all[index]// /}"
}
gpu() { # one of its properties; fails where there is no such GPU
    local all id
    id=$(smi_id) || return 1
    all=$(nvidia-smi -i "$id" --query-gpu="$1" --format=csv,noheader,nounits 2> /dev/null) || return 1
    echo "$all" | head -n 1
}

missing=0
lacks() { # one line for each; then it ends
    echo "gpu-check: $1 was not found: $2" >&2
    missing=$((missing + 1))
}

# GPU_CHECK_FOLDERS takes the place of the system's folders in the test of this script.
system=${GPU_CHECK_FOLDERS-/usr/local /usr}
known_libraries() { # those that the system finds by itself, a name each
    [ -z "${GPU_CHECK_FOLDERS-}" ] || return
    { ldconfig -p || /sbin/ldconfig -p; } 2> /dev/null | awk '/=>/ { print $1 }'
}

# ---- packages ----
# Unpacked, not installed: descriptions for pkg-config are told where they lie now. Programs are started with those of the
# libraries alone that the system lacks (`run`), so that its own programs get none that is older than what they want.
unpack() { # FOLDER of packages, FOLDER for them
    local from=$1 root=$2 deb data_part at to
    set -- "$from"/*.deb
    [ -e "$1" ] || die "--packages $from: no *.deb in it" 2
    rm -rf "$root.new" "$root"
    mkdir -p "$root.new" || die "cannot make $root"
    for deb in "$@"; do
        if has dpkg; then
            dpkg -x "$deb" "$root.new" || die "$deb cannot be unpacked"
        else
            data_part=$(ar t "$deb" | grep '^data\.tar') && ar p "$deb" "$data_part" > "$root.new/$data_part" &&
                tar -C "$root.new" -xf "$root.new/$data_part" || die "$deb cannot be unpacked"
            rm -f "$root.new/$data_part"
        fi
    done
    find "$root.new" -type l | while read -r at; do # those that say where they were meant to lie
        to=$(readlink "$at")
        case $to in /*) [ ! -e "$root.new$to" ] || ln -sf "$root$to" "$at" ;; esac
    done
    find "$root.new" -name '*.pc' -type f -exec sed -i "s,^\([a-z_]*=\)/usr,\1$root/usr,; s,\(-[IL]\)/usr,\1$root/usr,g" {} +
    mkdir -p "$root.new/run"
    known_libraries > "$root.new/known"
    find "$root.new/usr/lib" "$root.new/lib" -name 'lib*.so.*' 2> /dev/null | while read -r at; do
        grep -qxF "$(basename "$at")" "$root.new/known" || ln -sf "$root${at#"$root.new"}" "$root.new/run/"
    done
    mv "$root.new" "$root"
}
use_packages() { # the folder they were unpacked into
    local root=$1 triplet
    triplet=$(uname -m)-linux-gnu
    export PATH=$PATH:$root/usr/bin
    export PKG_CONFIG_PATH=$root/usr/lib/$triplet/pkgconfig:$root/usr/share/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
    # not LIBRARY_PATH nor C_INCLUDE_PATH, whose folders pkg-config takes for the system's and does not name
    export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$root/run
}

# ---- files of cuDNN and cuBLASLt ----
look() { # NAME, the file under each of the folders that follow: the first that is there
    local name=$1 folder
    shift
    for folder in "$@"; do
        [ -e "$folder/$name" ] && echo "$folder/$name" && return
    done
    return 1
}
named_folders() { # include | lib: where the user says that such files lie
    local kind=$1 root named="${CUDNN_ROOT:-} ${CUDNN_PATH:-}"
    for root in ${named//;/ }; do
        echo "$root/$kind"
        [ "$kind" = lib ] && echo "$root/lib64"
    done
    return 0
}
folders() { # include | lib: where they lie, in the order in which they are looked for
    local kind=$1 root
    named_folders "$kind"
    [ -n "$toolkit" ] && echo "$toolkit/$kind" "$toolkit/${kind}64" "$toolkit/targets/$(uname -m)-linux/$kind"
    for root in $system; do
        echo "$root/$kind" "$root/$kind/$(uname -m)-linux-gnu"
    done
    for root in $pip; do
        echo "$root"/*/"$kind"
    done
}
library() { # VARIABLE FILE...: finds one of them, and names it to the command where the system would not
    local variable=$1 file at
    shift
    [ -n "${!variable:-}" ] && return
    for file in "$@"; do # before the system's, as headers are
        # shellcheck disable=SC2046 # one word a folder
        if at=$(look "$file" $(named_folders lib)); then
            declare -gx "$variable=$at"
            return
        fi
    done
    for file in "$@"; do
        known_libraries | grep -qxF "$file" && return
    done
    for file in "$@"; do
        # shellcheck disable=SC2046 # one word a folder
        if at=$(look "$file" ${LD_LIBRARY_PATH//:/ } $(folders lib)); then
            declare -gx "$variable=$at"
            return
        fi
    done
    echo "gpu-check: $1 was not found: looked in CUDNN_ROOT, CUDNN_PATH, what ldconfig -p lists, LD_LIBRARY_PATH, $(folders lib | tr '\n' ' ')" >&2
}

look_for_toolkit() {
    local folder
    for folder in "${CUDA_HOME:-}" "${CUDA_PATH:-}" /usr/local/cuda /usr/local/cuda-[0-9]*; do
        has nvcc && break
        [ -n "$folder" ] && [ -x "$folder/bin/nvcc" ] && PATH=$PATH:$folder/bin
    done
    toolkit=""
    nvcc_says="none"
    if has nvcc; then
        toolkit=$(dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")")
        nvcc_says=$(nvcc --version | tail -n 1)
    fi
}
look_for_build() {
    local tool module header at root found=""
    [ -n "$toolkit" ] || lacks nvcc "the CUDA toolkit is needed to build (looked in PATH, CUDA_HOME, CUDA_PATH and /usr/local/cuda*/bin)"
    for tool in cmake cc pkg-config protoc-c; do
        has $tool || lacks $tool "scripts/deps installs what the build needs, --packages takes what was brought"
    done
    if has pkg-config; then
        for module in libprotobuf-c jansson inih libarchive zlib cmocka; do
            pkg-config --exists $module ||
                lacks "the library $module" "scripts/deps installs what the build needs, --packages takes what was brought (pkg-config looked)"
        done
    fi
    for header in cudnn_graph.h cublasLt.h; do
        # shellcheck disable=SC2046 # one word a folder
        if ! at=$(look $header $(folders include)); then
            lacks $header "the headers of cuDNN 9 and cuBLAS are needed to build (looked in $(folders include | tr '\n' ' ')); CUDNN_ROOT=FOLDER says where they are"
        else
            for root in $pip; do
                [ "${at#"$root"/}" = "$at" ] || found="${found:+$found;}$(dirname "$(dirname "$at")")"
            done
        fi
    done
    [ -z "$found" ] || export CUDNN_ROOT="${CUDNN_ROOT:+$CUDNN_ROOT;}$found" # a list, for CMake
    [ "$missing" = 0 ] || exit 1
}

look_for_all() {
    local cuda
    has nvidia-smi || die "nvidia-smi was not found: no NVIDIA driver on this machine, so nothing can be checked here"
    name=$(gpu name) || name=""
    [ -n "$name" ] || die "nvidia-smi lists no GPU number $index${CUDA_VISIBLE_DEVICES+ of CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES}: $(nvidia-smi -L 2>&1 | head -n 1)"
    cap=$(gpu compute_cap | tr -d .)
    case $cap in
        90) arch=90a ;;
        [0-9]*) arch=$cap ;;
        *) arch="80;86;89;90a;90-virtual" ;;
    esac
    [ -z "$packages" ] || unpack "$packages" "$PWD/build/packages"
    [ ! -d build/packages ] || use_packages "$PWD/build/packages"
    look_for_toolkit
    # Folders of python3's package nvidia, which brings cuDNN and cuBLAS to machines that have them nowhere else.
    pip=""
    if has python3; then
        pip=$(python3 -c 'import nvidia; print("\n".join(nvidia.__path__))' 2> /dev/null)
    fi
    ! wanted build || look_for_build
    # Without these it can be built, and the step `libraries` fails.
    cuda=$(echo "$nvcc_says" | sed -n 's/.*release \([0-9]*\).*/\1/p')
    [ -z "$toolkit" ] || cuda=$(nvcc --version | sed -n 's/.*release \([0-9]*\).*/\1/p' | head -n 1)
    LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}
    library FENWICKS_CUDNN libcudnn.so.9
    # shellcheck disable=SC2046,SC2086 # a word each
    library FENWICKS_CUBLASLT $(printf 'libcublasLt.so.%s\n' ${cuda:-13 12})
}
