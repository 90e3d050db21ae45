"""The names that configs use: children of MMEngine's registries, scope ``mae_transfer``.

A config of ours sets ``default_scope = 'mae_transfer'``; a config of MMDetection or MMSegmentation keeps its own scope and
writes ``type='mae_transfer.ViT'``. Every registry names the modules that fill it, so a name resolves without an import
in the config.
"""
from mmengine import registry as root

SCOPE = 'mae_transfer'


def _child(parent: root.Registry, *modules: str) -> root.Registry:
    return root.Registry(parent.name, parent=parent, scope=SCOPE, locations=[f'{SCOPE}.{module}' for module in modules])


MODELS = _child(root.MODELS, 'vit', 'pretrain', 'classify', 'dense')
FUNCTIONS = _child(root.FUNCTIONS, 'data')
DATASETS = _child(root.DATASETS, 'data')
DATA_SAMPLERS = _child(root.DATA_SAMPLERS, 'data')
TRANSFORMS = _child(root.TRANSFORMS, 'data')
HOOKS = _child(root.HOOKS, 'hooks')
LOOPS = _child(root.LOOPS, 'classify')
METRICS = _child(root.METRICS, 'evaluation')
OPTIMIZERS = _child(root.OPTIMIZERS, 'optim')
OPTIM_WRAPPERS = _child(root.OPTIM_WRAPPERS, 'optim')
OPTIM_WRAPPER_CONSTRUCTORS = _child(root.OPTIM_WRAPPER_CONSTRUCTORS, 'optim')
PARAM_SCHEDULERS = _child(root.PARAM_SCHEDULERS, 'optim')

# Nothing of ours lives in these; without a child MMEngine warns at every look-up from this scope.
for _parent in (root.EVALUATOR, root.INFERENCERS, root.LOG_PROCESSORS, root.MODEL_WRAPPERS, root.RUNNER_CONSTRUCTORS,
                root.RUNNERS, root.STRATEGIES, root.TASK_UTILS, root.VISBACKENDS, root.VISUALIZERS, root.WEIGHT_INITIALIZERS):
    _child(_parent)
