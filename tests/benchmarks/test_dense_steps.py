"""Where the time of a dense training step goes: parts, memory, and two variants that take turns."""

from __future__ import annotations

import json
import sys

import pytest
import torch

from mae_transfer.benchmarks import dense_steps
from mae_transfer.benchmarks.dense_steps import Variant, largest_differences, measure, peak_memory, table
from mae_transfer.benchmarks.part_clock import Span
from mae_transfer.compat.package_configs import CONFIGS
from mae_transfer.errors import UserError
from mae_transfer.settings import read_config

MMSEG_HEADS = ['model.decode_head.type=UPerHead', 'model.auxiliary_head.type=FCNHead']
SEGMENTOR = [
    *('arch=32x4x2', 'crop_size=(64,64)', 'train_dataloader.batch_size=2'),
    *('model.decode_head.channels=16', 'model.auxiliary_head.channels=16'),
]
DETECTOR = ['arch=32x4x2', 'image_size=(64,64)', 'model.train_cfg.rpn_proposal.max_per_img=10']


def variant(config, *options, batch=2):
    return Variant(read_config(CONFIGS / config, options), batch, (64, 64), 'cpu', torch.float32)


def parts(times):
    return {phase: {span.part for span in times if span.phase == phase} for phase in ('forward', 'backward')}


def test_all_parts_of_a_segmentor_are_found():
    segmentor = variant('ade20k_upernet_vitb.py', *SEGMENTOR)
    found = parts(segmentor.step(0))
    of_model = {'backbone', 'pyramid'} | {
        f'{head} head: {part}' for head in ('decode', 'auxiliary') for part in ('layers', 'loss')
    }
    assert found == dict(forward={'rest', 'data preprocessor', 'optimiser', *of_model}, backward={'rest', *of_model})
    assert {'decode.acc_seg', 'aux.acc_seg'} <= {*segmentor.logged}


@pytest.mark.parametrize('config', ['coco_maskrcnn_vitb.py', 'coco_vitdet_cascade_vitb.py'])
def test_all_parts_of_a_detector_are_found(config):
    detector = variant(config, *DETECTOR, batch=1)
    detector.step(0)
    found = parts(detector.step(1))
    of_model = {'backbone', 'pyramid', 'RPN: layers', 'RPN: targets, loss'}
    of_model |= {f'{kind}: {part}' for kind in ('boxes', 'masks') for part in ('RoIAlign', 'layers')}
    of_model |= {'boxes: loss', 'masks: targets, loss'}
    assert found['backward'] == {'rest', *of_model}
    others = {'rest', 'data preprocessor', 'optimiser', 'RPN: proposals', 'regions: assigned, sampled'}
    assert found['forward'] == others | of_model


def test_variants_that_compute_the_same_are_told_from_others():
    same = [variant('ade20k_upernet_vitb.py', *SEGMENTOR, *more) for more in ([], MMSEG_HEADS)]
    of_loss, of_gradients = largest_differences(same, 0)
    assert of_loss < 1e-6 and of_gradients < 1e-3
    other = ['model.decode_head.loss_decode.loss_weight=2.']
    of_loss, of_gradients = largest_differences([same[0], variant('ade20k_upernet_vitb.py', *SEGMENTOR, *other)], 0)
    assert of_loss > 0.1 and of_gradients > 0.1


def test_weights_stay_and_variants_take_turns():
    variants = [variant('ade20k_upernet_vitb.py', *SEGMENTOR) for _ in range(2)]
    before = [parameter.clone() for parameter in variants[0].model.parameters()]
    calls = []
    for number, one in enumerate(variants):
        one.model.backbone.register_forward_pre_hook(lambda *_, number=number: calls.append(number))
    measure(variants, rounds=2)
    assert calls == [0, 1, 1, 0, 0, 1] and [len(one.times) for one in variants] == [2, 2]
    assert all(torch.equal(*pair) for pair in zip(before, variants[0].model.parameters()))
    assert min(sum(step.values()) for one in variants for step in one.times) > 0


def test_the_table_has_medians_shares_and_ratios():
    ours = [
        {Span('a', 'forward'): 1.0, Span('a', 'backward'): seconds, Span('b', 'forward'): 1.0} for seconds in (2, 9, 2)
    ]
    theirs = [{Span('a', 'forward'): 6.0, Span('b', 'forward'): 2.0}]
    rows = [
        [cell.strip() for cell in row.split('|')[1:-1]]
        for row in table([ours, theirs], [(10**9, 10**9), (10**9, 2 * 10**9)]).splitlines()
    ]
    assert len({len(row) for row in rows}) == 1
    assert rows[2] == ['a', '1000.0', '2000.0', '75.0%', '6000.0', '0.0', '75.0%', '0.50']
    assert rows[3] == ['b', '1000.0', '0.0', '25.0%', '2000.0', '0.0', '25.0%', '0.50']
    assert rows[4] == ['step', '2000.0', '2000.0', '4000.0 ms', '8000.0', '0.0', '8000.0 ms', '0.50']
    assert rows[5] == ['memory', 'weights 1.00 GB', '', 'step 1.00 GB', 'weights 1.00 GB', '', 'step 2.00 GB', '0.50']


def test_memory_is_that_of_one_step():
    cfg = read_config(CONFIGS / 'ade20k_upernet_vitb.py', [*SEGMENTOR, 'model.data_preprocessor.size=(256,256)'])
    weights, small = peak_memory(cfg, 2, (64, 64), 'cpu', torch.float32)
    parameters = variant('ade20k_upernet_vitb.py', *SEGMENTOR).model.parameters()
    assert weights == pytest.approx(sum(value.nbytes for value in parameters), rel=0.02)
    assert peak_memory(cfg, 8, (64, 64), 'cpu', torch.float32)[1] > small > 0


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['dense_steps', *map(str, arguments)])
    # A process that has computed, as this one has in other tests, must not be forked.
    monkeypatch.setattr(dense_steps, 'run_in_new_process', lambda function, *values: function(*values))
    dense_steps.main()


def test_the_command_prints_a_table_and_writes_json(monkeypatch, tmp_path, capsys):
    file = tmp_path / 'steps.json'
    options = [*('--cfg-options', 'model.decode_head.channels=16', 'model.auxiliary_head.channels=16')]
    call(
        monkeypatch,
        *('configs/ade20k_upernet_vitb.py', '--arch', '32x4x2', '--size', 64, '--batch', 2, '--rounds', 2),
        *('--json', file, *options, '--against', *MMSEG_HEADS),
    )
    out = capsys.readouterr().out
    assert 'ade20k_upernet_vitb, 64 x 64 pixels, batch 2, float32' in out and '| decode head: loss |' in out
    (result,) = json.loads(file.read_text())
    assert [len(steps) for steps in result['steps']] == [2, 2] and len(result['memory']) == 2
    assert result['steps'][0][0]['decode head: loss, backward'] > 0


@pytest.mark.parametrize(
    'arguments, words',
    [
        (['configs/mae_pretrain_vitb.py'], 'name configs of segmentors'),
        (['configs/ade20k_upernet_vitb.py', '--batch', '1'], 'needs two images'),
        (['configs/ade20k_upernet_vitb.py', '--rounds', '0'], '--rounds and --size must be 1 or more'),
    ],
)
def test_mistakes_are_told_in_a_line(arguments, words, monkeypatch):
    with pytest.raises(UserError, match=words):
        call(monkeypatch, *arguments)
