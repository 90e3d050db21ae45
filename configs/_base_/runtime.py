"""The runtime of pre-training and classification: hooks, logging, seeds.

Named settings:
- `track`: where figures of the run go beside its own files: 'tensorboard', 'wandb', 'mlflow', or several of them; ''
  for nowhere else. They need `pip install 'mae_transfer[track]'`.
"""

_base_ = './distributed.py'
default_scope = 'mae_transfer'
track = ''
custom_imports = dict(imports=['mae_transfer'], allow_failed_imports=False)

# Whether torch.compile makes the transformer blocks of a training faster; or its settings, dict(_delete_=True, ...).
compile = False

val_cfg = dict()
test_cfg = dict()

default_hooks = dict(
    runtime_info=dict(type='GlobalLossHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='mae_transfer.MainProcessLoggerHook', interval=20),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    heartbeat=dict(type='HeartbeatHook', seconds=40),
    step_guard=dict(type='StepGuardHook'),
    speed=dict(type='SpeedHook'),
    skipped_images=dict(type='SkippedImagesHook', max_bad_share=0.1),
    input_statistics=dict(type='InputStatisticsHook'),
)

# MMEngine's default pattern averages everything with 'loss' or 'time' in its name, including results of validations.
log_processor = dict(type='LogProcessor', by_epoch=True, mean_pattern=r'^(loss|time|data_time|grad_norm)')
env_cfg = dict(mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0), dist_cfg=dict(backend='nccl'))
visualizer = dict(type='Visualizer', vis_backends='${vis_backends(track)}')
log_level = 'INFO'
randomness = dict(seed=0)
