"""Distributed training on the CPU: two real ranks get the same weights as one process with the data of both."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.device import get_device
from mmengine.model import MMDistributedDataParallel

import mae_transfer
from mae_transfer.compat import distributed
from mae_transfer.compat.distributed import start_group, wrapper_without_device
from tests.processes import run_together

REPOSITORY = Path(mae_transfer.__file__).parents[1]
on_cpu = pytest.mark.skipif(get_device() != 'cpu', reason='MMEngine sees an accelerator')

# What a tool does, with a model of four parameters: train two epochs on 16 points, validate, save the results.
TRAIN = """
import sys
import torch
from torch import nn
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS
from mae_transfer.compat.distributed import end_process, start_group
from mae_transfer.runner import StrictRunner


@MODELS.register_module()
class Line(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 1)
        self.seen = []

    def forward(self, x, y, number, mode):
        if mode == 'predict':
            return number.tolist()
        self.seen += number.tolist()
        return {'loss': ((self.linear(x) - y) ** 2).mean()}


@DATASETS.register_module()
class Points(torch.utils.data.Dataset):
    def __init__(self):
        self.x = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))

    def __len__(self):
        return 16

    def __getitem__(self, index):
        x = self.x[index]
        return dict(x=x, y=x.sum(0, keepdim=True) * index, number=index)


@METRICS.register_module()
class Numbers(BaseMetric):
    def process(self, batch, outputs):
        self.results += outputs

    def compute_metrics(self, results):
        return {'numbers': sorted(results)}


def loader(batch):
    return dict(batch_size=batch, num_workers=0, dataset=dict(type='Points'), collate_fn=dict(type='default_collate'),
                sampler=dict(type='DefaultSampler', shuffle=False))


if __name__ == '__main__':
    launcher, batch, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    cfg = Config(dict(
        model=dict(type='Line'), work_dir=out, launcher=launcher, log_level='WARNING', randomness=dict(seed=1),
        train_dataloader=loader(batch), train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
        val_dataloader=loader(batch), val_cfg=dict(), val_evaluator=dict(type='Numbers')))
    start_group(launcher)
    runner = StrictRunner.from_cfg(cfg)
    runner.train()
    validated = runner.val()['numbers']
    model = getattr(runner.model, 'module', runner.model)
    torch.save(dict(state=dict(model.state_dict()), seen=model.seen, wrapper=type(runner.model).__name__,
                    world=runner.world_size, validated=validated),
               f'{out}/rank{runner.rank}.pt')
    end_process()
"""


#: A data loader's worker is killed, and the process hears of it in its clean-up.
ENDS_AFTER_ITS_WORKER = """
import atexit, os, signal, sys, time
from torch.utils.data import DataLoader
from mae_transfer.compat.distributed import end_process

if __name__ == '__main__':
    loader = iter(DataLoader(range(1000), num_workers=1))
    next(loader)
    handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.kill(loader._workers[0].pid, signal.SIGKILL)
    os.waitid(os.P_PID, loader._workers[0].pid, os.WEXITED | os.WNOWAIT)
    signal.signal(signal.SIGCHLD, handler)
    atexit.register(lambda: (os.kill(os.getpid(), signal.SIGCHLD), time.sleep(0.1)))
    {end}
"""


def free_port():
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return found.getsockname()[1]


def train(folder, *launch, launcher, batch, **environment):
    """Start a process that trains; ``launch`` are Python's arguments before the script."""
    script = folder / 'train.py'
    script.write_text(TRAIN)
    out = folder / launcher
    out.mkdir(exist_ok=True)
    path = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get('PYTHONPATH')])])
    # Hide the GPU from these ranks if there is one.
    env = {**os.environ, 'PYTHONPATH': path, 'CUDA_VISIBLE_DEVICES': '', 'OMP_NUM_THREADS': '1', **environment}
    return subprocess.Popen(
        [sys.executable, *map(str, launch), str(script), launcher, str(batch), str(out)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(*processes):
    for process in processes:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output


def results(folder, launcher, world):
    return [torch.load(folder / launcher / f'rank{rank}.pt', weights_only=True) for rank in range(world)]


def torchrun(folder):
    return [
        train(
            folder,
            '-m',
            'torch.distributed.run',
            '--nproc_per_node',
            2,
            '--master_port',
            free_port(),
            launcher='pytorch',
            batch=4,
        )
    ]


def srun(folder):
    scontrol = folder / 'scontrol'
    scontrol.write_text(
        '#!/bin/sh\n[ "$*" = "show hostnames localhost,elsewhere" ] && echo localhost && echo elsewhere\n'
    )
    scontrol.chmod(0o755)
    shared = dict(
        SLURM_NTASKS='2',
        SLURM_NODELIST='localhost,elsewhere',
        MASTER_PORT=str(free_port()),
        PATH=os.pathsep.join([str(folder), os.environ['PATH']]),
    )
    return [train(folder, launcher='slurm', batch=4, **shared, SLURM_PROCID=rank, SLURM_LOCALID=rank) for rank in '01']


@pytest.fixture(scope='module')
def alone(tmp_path_factory):
    """The results of one process that trains on the batches of both ranks."""
    folder = tmp_path_factory.mktemp('alone')
    finish(train(folder, launcher='none', batch=8))
    return results(folder, 'none', 1)[0]


@pytest.mark.parametrize(
    'launcher, launch', [('pytorch', torchrun), pytest.param('slurm', srun, marks=pytest.mark.slow)]
)
def test_two_ranks_train_like_one_process_on_the_union_of_their_batches(tmp_path, alone, launcher, launch):
    finish(*launch(tmp_path))
    first, second = results(tmp_path, launcher, 2)
    assert first['world'] == second['world'] == 2
    assert first['wrapper'] == second['wrapper'] == 'MMDistributedDataParallel'
    assert first['seen'] == list(range(0, 16, 2)) * 2 and second['seen'] == list(range(1, 16, 2)) * 2
    assert first['validated'] == alone['validated'] == list(range(16))  # the metric gets the results of both ranks

    assert alone['wrapper'] == 'Line' and alone['seen'] == list(range(16)) * 2
    for name, value in alone['state'].items():
        assert torch.equal(first['state'][name], second['state'][name])
        torch.testing.assert_close(first['state'][name], value, rtol=1e-6, atol=1e-6)


@pytest.fixture
def started(monkeypatch):
    """List the backends of groups that would be started, in an environment without the variables of launchers."""
    backends = []
    monkeypatch.setattr(distributed, 'get_device', lambda: 'cpu')
    monkeypatch.setattr(torch.distributed, 'init_process_group', backends.append)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(('SLURM_', 'OMPI_', 'MASTER_')) and name not in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')
    }
    monkeypatch.setattr(os, 'environ', environment)
    return backends


SLURM = dict(SLURM_PROCID='5', SLURM_NTASKS='8', SLURM_LOCALID='1', SLURM_NODELIST='n[1-2]')
MPI = dict(OMPI_COMM_WORLD_RANK='5', OMPI_COMM_WORLD_SIZE='8', OMPI_COMM_WORLD_LOCAL_RANK='1')


@pytest.mark.parametrize('launcher, given', [('slurm', SLURM), ('mpi', MPI)])
def test_the_launchers_variables_are_copied_to_those_of_torch(started, launcher, given):
    os.environ.update(given, MASTER_ADDR='n1')
    start_group(launcher)
    assert started == ['gloo']
    expected = dict(RANK='5', WORLD_SIZE='8', LOCAL_RANK='1', MASTER_ADDR='n1', MASTER_PORT='29500')
    assert {name: os.environ[name] for name in expected} == expected


def test_slurm_without_a_host_name_is_an_error_that_says_what_to_set(started):
    os.environ.update(SLURM, PATH='')
    with pytest.raises(RuntimeError, match=r'SLURM_NODELIST=.n\[1-2\].*set MASTER_ADDR'):
        start_group('slurm')
    assert not started


@pytest.mark.parametrize(
    'launcher, says',
    [
        ('pytorch', 'no RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT in the environment: .* torchrun'),
        ('slurm', 'no SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID in the environment: .* srun'),
        ('mpi', 'no OMPI_COMM_WORLD_RANK.* mpirun'),
    ],
)
def test_a_missing_launcher_is_an_error(started, launcher, says):
    with pytest.raises(RuntimeError, match=says):
        start_group(launcher)
    assert not started


def test_an_unknown_launcher_is_named(started):
    with pytest.raises(ValueError, match="launcher 'lsf' is unknown: choose 'none', 'pytorch', 'slurm', 'mpi'"):
        start_group('lsf')


def test_one_process_starts_no_group(started):
    start_group('none')
    assert not started


def test_with_a_gpu_mmengine_starts_the_group(started, monkeypatch):
    monkeypatch.setattr(distributed, 'get_device', lambda: 'cuda')
    start_group('pytorch')
    assert not started


def test_an_existing_group_is_kept(started, monkeypatch):
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    start_group('pytorch')
    assert not started


@on_cpu
@pytest.mark.parametrize(
    'fields, expected',
    [
        (
            {},
            dict(
                type='MMDistributedDataParallel', broadcast_buffers=False, find_unused_parameters=False, device_ids=None
            ),
        ),
        (
            dict(find_unused_parameters=True),
            dict(
                type='MMDistributedDataParallel', broadcast_buffers=False, find_unused_parameters=True, device_ids=None
            ),
        ),
        (
            dict(model_wrapper_cfg=dict(find_unused_parameters=True, device_ids=[0], output_device=0)),
            dict(type='MMDistributedDataParallel', find_unused_parameters=True, device_ids=None, output_device=None),
        ),
        (
            dict(model_wrapper_cfg=dict(type='MMSeparateDistributedDataParallel', broadcast_buffers=True)),
            dict(type='MMSeparateDistributedDataParallel', broadcast_buffers=True, device_ids=None),
        ),
        (
            dict(model_wrapper_cfg=dict(type=MMDistributedDataParallel, static_graph=True)),
            dict(type=MMDistributedDataParallel, static_graph=True, device_ids=None),
        ),
        (
            dict(model_wrapper_cfg=dict(type='MMFullyShardedDataParallel', cpu_offload=True)),
            dict(type='MMFullyShardedDataParallel', cpu_offload=True),
        ),
    ],
    ids=['none', 'find_unused', 'own_fields', 'separate', 'class', 'not_ddp'],
)
def test_the_model_wrapper_keeps_its_settings_except_for_the_device(fields, expected):
    assert wrapper_without_device(fields.pop('model_wrapper_cfg', None), fields) == expected


IN_ORDER = """
import os, sys
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from mae_transfer.compat.distributed import average_in_order

torch.distributed.init_process_group('gloo')
rank = torch.distributed.get_rank()
gradients = []
for megabytes in (.001, .01, 25):  # other buckets
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(50, 40), nn.Tanh(), nn.Linear(40, 30), nn.Tanh(), nn.Linear(30, 7))
    model = DistributedDataParallel(model, bucket_cap_mb=megabytes)
    average_in_order(model)
    for step in range(3):  # of which the first is made before the buckets are filled anew
        model.zero_grad()
        torch.manual_seed(rank)
        model(torch.randn(5, 50)).square().sum().backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))
model = model.module
model.zero_grad()
for other in range(3):
    torch.manual_seed(other)
    (model(torch.randn(5, 50)).square().sum() / 3).backward()
wanted = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
torch.testing.assert_close(gradients[0], wanted, rtol=1e-5, atol=1e-6)
assert all(torch.equal(gradients[0], other) for other in gradients)
torch.save(gradients[0], f'{sys.argv[1]}/{rank}.pt')
"""


def test_gradients_of_three_processes_do_not_depend_on_their_buckets(tmp_path):
    """Or a resumed run, whose first step has other buckets, would round otherwise."""
    (tmp_path / 'in_order.py').write_text(IN_ORDER)
    environment = dict(os.environ, PYTHONPATH=str(REPOSITORY), MASTER_ADDR='127.0.0.1', MASTER_PORT=str(free_port()))
    environment.update(CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1', WORLD_SIZE='3')
    finish(
        *(
            subprocess.Popen(
                [sys.executable, str(tmp_path / 'in_order.py'), str(tmp_path)],
                env=dict(environment, RANK=str(rank)),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for rank in range(3)
        )
    )
    first, *others = (torch.load(tmp_path / f'{rank}.pt') for rank in range(3))
    assert first.any() and all(torch.equal(first, other) for other in others)


@pytest.mark.parametrize('count', [2, pytest.param(3, marks=pytest.mark.slow)])
def test_gradients_as_views_of_the_buckets_are_the_same_bit_by_bit(count, tmp_path):
    found = run_together(Path(__file__).with_name('bucket_views.py'), count, tmp_path)
    assert found == [{1: True, 3: True}] * count  # without and with accumulation


@pytest.mark.parametrize('end, is_told', [('end_process(3)', False), ('sys.exit(3)', True)])
def test_a_worker_that_ends_during_the_clean_up_is_no_error(tmp_path, end, is_told):
    """The second row shows that torch's handler is the reason: without end_process it raises within the clean-up."""
    script = tmp_path / 'ends.py'
    script.write_text(ENDS_AFTER_ITS_WORKER.replace('{end}', end))
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert ended.returncode == 3
    assert ('is killed by signal' in ended.stderr) == is_told
