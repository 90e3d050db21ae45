#!/usr/bin/env bash
# All that has to be seen on a GPU, in one go: tests, speed next to other projects, training on real images, reliability.
#   tools/gpu_check.sh [--cpu] [--list] [PART ...]     e.g. OUT=results tools/gpu_check.sh; tools/gpu_check.sh pretrain detect
# Parts run one after the other, each within its own time and all within $BUDGET seconds (default 540); only `images`
# runs beside the first two, which measure no time. A part that fails does not stop the others; the exit code is then 1.
# $OUT (default gpu_check) gets summary.md, with all tables, and log.txt. $OFFICIAL may name a checkout of
# facebookresearch/mae; $MAE_TRANSFER_DATA the folder with tinyimagenet20 (default ../shared/data).
#   --cpu    the same parts at the smallest size on a CPU: does the script itself work?
#   --list   print the parts, and their commands
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/.." || exit 2
device=cuda listed=
parts=() chosen=()
while [ $# -gt 0 ]; do
    case $1 in
        --cpu) device=cpu ;;
        --list) listed=1 ;;
        -*) echo "usage: tools/gpu_check.sh [--cpu] [--list] [PART ...]" >&2; exit 2 ;;
        *) chosen+=("$1") ;;
    esac
    shift
done
out=${OUT:-gpu_check}
data=${MAE_TRANSFER_DATA:-../shared/data}/tinyimagenet20
work=work_dirs/gpu_check_$$
declare -A limit command

# part NAME SECONDS COMMAND: a line of bash
part() { parts+=("$1"); limit[$1]=$2; command[$1]=$3; }

python="tools/python"
small="configs/small"
measure="--device $device --rounds 10"
if [ $device = cuda ]; then
    official=${OFFICIAL:+official --official $OFFICIAL}
    precise="$measure --dtype bfloat16"
    part images 260 "real_images epochs=300"
    part tests 90 "$python -m pytest -q -rs tests/compat/test_native_ops.py tests/vit/test_relative_position.py tests/tools/test_compare_backbones.py -k 'gpu or cuda or row'"
    part reliability 150 "$python -m mae_transfer.benchmarks.device_runs --work-dir $work/device_runs"
    part pretrain 110 "tools/benchmark.py pretrain $precise --arch large --batch 64 --peers plain transformers $official"
    part detect 80 "tools/benchmark.py detect $precise --arch base"
    part segment 60 "tools/benchmark.py segment $precise --arch base"
    part kinds 80 "$python -m mae_transfer.benchmarks.pretraining_cost configs/mae_pretrain_vitl.py configs/mocov3_pretrain_vitl.py configs/beit_pretrain_vitl.py configs/in1k_scratch_vitl.py --batch 32 --device cuda --dtype bfloat16"
    part cost 80 "tools/benchmark.py cost configs/ablations/table2_vitl_mask_tokens_decoder_8.py configs/ablations/table2_vitl_decoder_8.py configs/ablations/table2_vitl_decoder_1.py $precise --batch 64"
    part saving 60 "$python -m mae_transfer.benchmarks.saving_cost --device cuda --arch large --batch 32 --rounds 3"
    part compiled 200 "tools/benchmark.py pretrain $precise --arch large --batch 64 --peers transformers --compile"
else
    tiny="--arch tiny --sizes 64 --rounds 1 --warm-up 0 --threads 1"
    sizes="--arch 32x2x2 --decoder 16x1x2 --image-size 64 --batch 2 --threads 1"
    part images 600 "real_images epochs=1"
    part tests 300 "$python -m pytest -q -rs tests/compat/test_native_ops.py tests/vit/test_relative_position.py -k 'cpu or gpu'"
    part reliability 600 "$python -m mae_transfer.benchmarks.device_runs --work-dir $work/device_runs"
    part pretrain 300 "tools/benchmark.py pretrain $sizes --rounds 2 --dtype bfloat16 --peers plain transformers"
    part detect 300 "tools/benchmark.py detect $tiny"
    part segment 300 "tools/benchmark.py segment $tiny"
    part kinds 300 "$python -m mae_transfer.benchmarks.pretraining_cost $small/mae_pretrain_tin20.py $small/mocov3_pretrain_tin20.py $small/beit_pretrain_tin20.py $small/finetune_tin20.py --batch 2 --rounds 1 --cfg-options image_size=32 arch=16x2x2"
    part cost 300 "tools/benchmark.py cost configs/ablations/table1a_decoder_depth_8.py configs/ablations/table1a_decoder_depth_1.py --arch 32x2x2 --img-size 32 --patch-size 8 --batch 2 --rounds 1 --threads 1"
    part saving 300 "$python -m mae_transfer.benchmarks.saving_cost --arch 32x2x2 --batch 1 --steps 1 --rounds 1"
    part compiled 600 "tools/benchmark.py pretrain --arch 32x1x2 --decoder 16x1x2 --image-size 64 --batch 2 --threads 1 --rounds 1 --warm-up 1 --peers plain --compile"
    BUDGET=${BUDGET:-3600}
fi
budget=${BUDGET:-540}

# The commands of `images`, one a line: a small pre-training, and what its ViT is worth by k-NN, probes and fine-tuning.
image_commands() {
    local root=$1 epochs=$2 options jobs=1 starts probes probe=
    if [ $device = cuda ]; then
        # Larger batches than in the config, which is for a CPU: steps of 64 small images would wait for their launch.
        options="max_epochs=$epochs total_batch_size=512 train_dataloader.batch_size=512 train_dataloader.num_workers=12 base_lr=1e-3 warmup=10 optim_wrapper.dtype=bfloat16"
        jobs=3 starts="none $work/mae" probes="knn fastprobe finetune"
    else
        options="max_epochs=$epochs warmup=0.5 train_dataloader.num_workers=0"
        starts=$work/mae probes="knn finetune"
        probe="max_epochs=1 warmup=0.5 total_batch_size=64 train_dataloader.batch_size=64 train_dataloader.num_workers=0"
    fi
    echo "tools/train.py $small/mae_pretrain_tin20.py --work-dir $work/mae --cfg-options data_root=$root $options"
    echo "tools/read_vit.py $starts --configs $small/{}_tin20.py --protocols $probes --seeds 0 --jobs $jobs --work-dir $work/read --cfg-options data_root=$root"
    echo "tools/train.py $small/linprobe_tin20.py --work-dir $work/linprobe --cfg-options data_root=$root pretrained=$work/mae $probe"
}

real_images() {
    local root=$data line epochs=${1#epochs=}
    if [ ! -d "$data/train" ]; then
        echo "skipped: no $data: name the folder with tinyimagenet20 by MAE_TRANSFER_DATA"
        return 0
    fi
    if [ $device = cpu ]; then # ten images of each class
        root=$work/tinyimagenet20
        (cd "$data" && find train val -type f | sort) | awk -F/ '++seen[$1 $2] <= 10' | while read -r file; do
            mkdir -p "$root/$(dirname "$file")"
            ln -s "$(readlink -f "$data")/$file" "$root/$file"
        done
    fi
    while read -r line; do
        echo "\$ $line"
        eval "$line" </dev/null || return 1
    done < <(image_commands "$root" "$epochs")
    echo "| linear probe, the paper's | $(grep -oh 'accuracy/top1: [0-9.]*' "$work/linprobe"/*/*.log | tail -1) |"
}

if [ -n "$listed" ]; then
    for name in "${parts[@]}"; do
        echo "$name (${limit[$name]} s): ${command[$name]}"
        if [ "$name" = images ]; then image_commands "$data" "${command[$name]##*=}" | sed 's/^/    /'; fi
    done
    exit 0
fi
for name in ${chosen[@]+"${chosen[@]}"}; do
    if [ -z "${command[$name]:-}" ]; then
        echo "error: no part '$name': choose from ${parts[*]}" >&2
        exit 2
    fi
done
[ ${#chosen[@]} -gt 0 ] || chosen=("${parts[@]}")
if [ $device = cuda ] && ! tools/python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    echo "error: PyTorch finds no GPU: --cpu tries the script without one" >&2
    exit 2
fi
mkdir -p "$out" "$work" || exit 2
out=$(cd "$out" && pwd -P)
trap 'rm -rf "$work"' EXIT
trap 'kill $(jobs -p) 2>/dev/null; wait; exit 130' INT TERM
[ $device = cuda ] || export CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
export PYTHONUNBUFFERED=1 device data work small
export -f real_images image_commands
: >"$out/log.txt"
SECONDS=0

# run NAME: its output goes to $work/NAME.log, its end to $work/NAME.end
run() {
    local began=$SECONDS code left=$((budget - SECONDS)) most=${limit[$1]}
    [ "$most" -le "$left" ] || most=$left
    if [ "$most" -lt 5 ]; then
        echo "no time left of $budget s" >"$work/$1.end"
        return
    fi
    # In the background, so that a signal to the script is not kept waiting.
    timeout --kill-after=5 "$most" bash -c "${command[$1]}" >"$work/$1.log" 2>&1 </dev/null &
    wait $!
    code=$?
    case $code in
        0) if grep -q '^skipped: ' "$work/$1.log"; then echo skipped; else echo ok; fi ;;
        124 | 137) echo "not done after $most s" ;;
        *) echo "failed, exit code $code" ;;
    esac >"$work/$1.end"
    echo "$((SECONDS - began))" >"$work/$1.seconds"
    echo "$1: $(cat "$work/$1.end"), $((SECONDS - began)) s"
}

beside=
for name in "${chosen[@]}"; do
    if [ "$name" = images ]; then
        (
            trap 'kill $(jobs -p) 2>/dev/null; exit 130' INT TERM
            run images
        ) &
        beside=$!
        continue
    fi
    # From here on time is measured: nothing else may run.
    case $name in tests | reliability) ;; *) [ -z "$beside" ] || wait "$beside"; beside= ;; esac
    run "$name"
done
[ -z "$beside" ] || wait "$beside"

failed=0
{
    echo "| part | end | seconds |"
    echo "|---|---|---|"
    for name in "${chosen[@]}"; do
        end=$(cat "$work/$name.end")
        echo "| $name | $end | $(cat "$work/$name.seconds" 2>/dev/null) |"
        case $end in ok | skipped) ;; *) failed=1 ;; esac
    done
    for name in "${chosen[@]}"; do
        [ -f "$work/$name.log" ] || continue
        printf '\n## %s\n\n    %s\n\n' "$name" "${command[$name]}"
        # Tables with the lines that say what they are of; else the end.
        if grep -q '^|' "$work/$name.log"; then
            grep -E '^\||, PyTorch |^(plain|transformers|official|vitdet|mmseg|left out|error)[: ]|a checkpoint of|^on ' "$work/$name.log" |
                awk '/^\|/ && last !~ /^\|/ { print "" } { print; last = $0 }'
        else
            tail -n 5 "$work/$name.log"
        fi
    done
} >"$out/summary.md"
for name in "${chosen[@]}"; do
    if [ -f "$work/$name.log" ]; then printf '\n===== %s\n' "$name"; cat "$work/$name.log"; fi
done >>"$out/log.txt"
echo
cat "$out/summary.md"
exit $failed
