"""The runtime of detection and segmentation: hooks, logging, processes.

Named settings:
- `track`: where figures of the run go beside its own files: 'tensorboard', 'wandb', 'mlflow', or several of them; ''
  for nowhere else. They need `pip install 'mae_transfer[track]'`.
"""

_base_ = './distributed.py'
track = ''
custom_imports = dict(imports=['mae_transfer'], allow_failed_imports=False)

default_hooks = dict(
    runtime_info=dict(type='mae_transfer.GlobalLossHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='mae_transfer.MainProcessLoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='mae_transfer.CheckpointHook', max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    heartbeat=dict(type='mae_transfer.HeartbeatHook', seconds=40),
    step_guard=dict(type='mae_transfer.StepGuardHook'),
    speed=dict(type='mae_transfer.SpeedHook'),
    skipped_images=dict(type='mae_transfer.SkippedImagesHook', max_bad_share=0.1),
    input_statistics=dict(type='mae_transfer.InputStatisticsHook'),
)

env_cfg = dict(
    cudnn_benchmark=False, mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0), dist_cfg=dict(backend='nccl')
)
log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=0)
