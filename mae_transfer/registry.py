"""The names that configs use: children of MMEngine's registries, scope ``mae_transfer``.

A config of ours sets ``default_scope = 'mae_transfer'``; a config of MMDetection or MMSegmentation keeps its own scope
and writes ``type='mae_transfer.ViT'``. Every registry names the modules that fill it, so a name resolves without an
import in the config.
"""

from importlib import import_module
from typing import Any

from mmengine import registry as root

SCOPE = 'mae_transfer'


class LateRegistry(root.Registry):
    """A registry some of whose classes are imported only when they are asked for.

    These build on MMDetection or MMSegmentation, whose import takes seconds that pre-training and classification
    need not spend.

    Args:
        late: {name: module that registers it}.
    """

    def __init__(self, *args: Any, late: dict[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.late = late

    def get(self, key: str) -> type | None:
        """The class of a name, with or without our scope; None if there is none."""
        if module := self.late.get(key.removeprefix(f'{SCOPE}.')):
            import_module(module)
        return super().get(key)


def _child(parent: root.Registry, *modules: str, **late: str) -> LateRegistry:
    return LateRegistry(
        parent.name,
        parent=parent,
        scope=SCOPE,
        locations=[f'{SCOPE}.{module}' for module in modules],
        late={name: f'{SCOPE}.{module}' for name, module in late.items()},
    )


MODELS = _child(
    root.MODELS,
    'vit',
    'pretraining',
    'classify',
    'dense',
    AnySizeSegmentor='dense.segmentor',
    AveragedViews='dense.views',
    CascadeBoxRoIHead='dense.cascade_box_roi_head',
    DetPreprocessor='dense.detection_preprocessor',
    FCNHead='dense.heads',
    SegPreprocessor='dense.segmentation_preprocessor',
    UPerHead='dense.heads',
)
FUNCTIONS = _child(root.FUNCTIONS, 'data')
DATASETS = _child(
    root.DATASETS, 'data', CocoImages='data.coco.images', LabelledScenes='data.label_maps.labelled_scenes'
)
DATA_SAMPLERS = _child(root.DATA_SAMPLERS, 'data')
TRANSFORMS = _child(
    root.TRANSFORMS,
    'data',
    LoadBands='data.files.load_bands',
    LoadLabels='data.label_maps.load_labels',
    Unchanged='data.files.load_bands',
)
HOOKS = _child(
    root.HOOKS,
    'hooks',
    DetectionPictures='hooks.detection_pictures',
    LearningHook='learning.hook',
    SegmentationPictures='hooks.segmentation_pictures',
)
LOOPS = _child(root.LOOPS, 'classify', 'runs')
METRICS = _child(root.METRICS, 'evaluation', CocoAP='evaluation.coco_ap', MeanIoU='evaluation.mean_iou')
OPTIMIZERS = _child(root.OPTIMIZERS, 'optim')
OPTIM_WRAPPERS = _child(root.OPTIM_WRAPPERS, 'optim')
OPTIM_WRAPPER_CONSTRUCTORS = _child(root.OPTIM_WRAPPER_CONSTRUCTORS, 'optim')
PARAM_SCHEDULERS = _child(root.PARAM_SCHEDULERS, 'optim')
LOG_PROCESSORS = _child(root.LOG_PROCESSORS, 'runs')
MODEL_WRAPPERS = _child(root.MODEL_WRAPPERS, 'sharding')
VISBACKENDS = _child(root.VISBACKENDS, 'runs')

# Nothing of ours lives in these; without a child MMEngine warns at every look-up from this scope.
for _parent in (
    root.EVALUATOR,
    root.INFERENCERS,
    root.RUNNER_CONSTRUCTORS,
    root.RUNNERS,
    root.STRATEGIES,
    root.TASK_UTILS,
    root.VISUALIZERS,
    root.WEIGHT_INITIALIZERS,
):
    _child(_parent)
